"""What a product team imports. It is light: no torch, pyarrow, boto3 or pandas."""
