"""`./writer openapi` prints the reference without a Writer."""

import json

from standalone.openapi import print_document


def test_the_document_is_printed(capfdbinary):
    print_document()
    document = json.loads(capfdbinary.readouterr().out)
    assert document["openapi"] == "3.1.0"
    assert "/api/v1/writer/runs/{id}/watch" in document["paths"]
