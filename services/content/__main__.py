"""Wiring of the content service: `python -m services.content`."""

from __future__ import annotations

from writer.content.v1 import clusters_pb2_grpc, content_pb2_grpc, taxonomy_pb2_grpc

from chassis.model import Model
from chassis.process import Host, Parts, run
from services.content.consumers import WRITERS, subscriptions
from services.content.providers.author import Author
from services.content.service.clusters import Clusters
from services.content.service.illustrating import Illustrating
from services.content.service.reading import Reading
from services.content.service.writing import Writing
from services.content.servicer import ClusterServicer, ContentServicer, TaxonomyServicer

TEXT_MODEL = "gpt-5-mini"


def wire(host: Host) -> Parts:
    """Puts the service together."""
    reading = Reading(host.database)
    model = Model.from_settings(host.settings)
    author = Author(model, host.settings.extra("WRITER_TEXT_MODEL", TEXT_MODEL))
    return Parts(
        servicers=[
            (content_pb2_grpc.add_ContentServiceServicer_to_server, ContentServicer(reading)),
            (taxonomy_pb2_grpc.add_TaxonomyServiceServicer_to_server, TaxonomyServicer(reading)),
            (
                clusters_pb2_grpc.add_ClusterServiceServicer_to_server,
                ClusterServicer(Clusters(host.database)),
            ),
        ],
        subscriptions=subscriptions(
            Writing(host.database, host.outbox, author),
            Illustrating(host.database, host.outbox),
            int(host.settings.extra("WRITER_WRITERS", str(WRITERS))),
        ),
        close=[model.close],
    )


def main() -> None:
    """Runs the process until it is told to stop."""
    run("content", wire)


if __name__ == "__main__":
    main()
