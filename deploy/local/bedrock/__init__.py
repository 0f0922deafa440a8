"""A Bedrock Runtime server for laptops and tests: honest wire format, an extractive "model"."""
