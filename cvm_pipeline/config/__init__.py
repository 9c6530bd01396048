"""The project configuration: `cvm.yml` as typed models, and the only reader of the environment."""
