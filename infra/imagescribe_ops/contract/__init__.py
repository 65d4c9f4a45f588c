"""The describe endpoint's documented contract, as the simulator and the gateway keep it.

``POST /v1/ideogram-describe`` takes a key and the URL of a picture, which it fetches itself, and answers with a prompt;
``GET /v1/get-user-credits`` tells the balance. Nothing here knows of a web framework: requests come in as values, and
answers go out as values. The simulator writes them with ``http.server``, since it also has to break off, drip and hang;
the gateway with Starlette.

Who owns what: ``requests`` reads what comes in, ``addresses`` says where a picture may be, ``fetch`` fetches it,
``picture`` opens it, ``answers`` words what goes out.
"""
