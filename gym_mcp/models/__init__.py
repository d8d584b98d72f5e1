"""Model endpoints behind one schema: OpenAI Responses items in, Responses items out."""
