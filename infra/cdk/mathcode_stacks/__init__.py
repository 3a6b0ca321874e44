"""The AWS deployment, in three stacks: images, what is kept, what runs."""
