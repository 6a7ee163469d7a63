"""What this package was generated from."""

CONTRACT_VERSION = "1.1.0"
CONTRACT_SHA256 = "e6ff51a97c36103a9967de5cc98411a25dfe1fe064bd1d49ec39029ab42f72ef"  # of contract.json
SETTINGS_SHA256 = "eade45fc8cefe0c889631862b9ba7191d7a3fceff29ee1310d6ffe24aba4e179"  # of generator-config.yaml, openapi/fixes.py, openapi/stamp.py
GENERATOR = "openapi-python-client 0.29.1"
FORMATTER = "ruff 0.17.6"
