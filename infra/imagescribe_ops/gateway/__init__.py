"""The describe endpoint's contract in front of a vision model that speaks OpenAI's chat completions.

Ollama, vLLM, llama.cpp, LM Studio and most hosted models do. The picture goes to the model within the request, made
smaller and without its metadata; what the model answers becomes what the describe endpoint would have answered.

Who owns what: ``picture`` makes the picture fit, ``completions`` reads what the model answers, ``model`` calls it,
``gateway`` leads one call, ``server`` speaks HTTP, ``start`` starts it.
"""
