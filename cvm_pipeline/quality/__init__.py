"""The gate's judgement: suites, their completeness, facts, one function that judges, and its answers in words."""
