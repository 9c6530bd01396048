"""Pure rules and mathematics: numpy, pandas and Arrow in, the same out. No clock, environment, files, SQL engine or Dagster."""
