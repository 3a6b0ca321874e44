"""Mathematical textbooks (MathCoder2 §2.1): PDF files to screened, de-duplicated text."""
