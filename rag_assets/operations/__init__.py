"""What a person does to a knowledge base: decisions about production and refusals."""
