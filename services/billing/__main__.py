"""The billing process: wiring only."""

from __future__ import annotations

from writer.billing.v1 import credits_pb2_grpc, prices_pb2_grpc, reservations_pb2_grpc

from chassis.process import Host, Parts, run
from services.billing.consumers import Consumers
from services.billing.events import Facts
from services.billing.service import (
    Accounts,
    Catalogue,
    ExpirySweeper,
    Reservations,
    Settlement,
)
from services.billing.servicer import CreditServicer, PriceServicer, ReservationServicer


def wire(host: Host) -> Parts:
    """Builds billing from what the process offers."""
    database, facts = host.database, Facts(host.outbox)
    settlement = Settlement(database, facts)
    reservations = Reservations(database, facts)
    return Parts(
        servicers=[
            (
                credits_pb2_grpc.add_CreditServiceServicer_to_server,
                CreditServicer(Accounts(database, facts)),
            ),
            (
                reservations_pb2_grpc.add_ReservationServiceServicer_to_server,
                ReservationServicer(reservations, settlement),
            ),
            (
                prices_pb2_grpc.add_PriceServiceServicer_to_server,
                PriceServicer(Catalogue(database)),
            ),
        ],
        subscriptions=Consumers(settlement).subscriptions(),
        loops=[ExpirySweeper(database, facts).run],
    )


def main() -> None:
    """Runs until SIGTERM."""
    run("billing", wire)


if __name__ == "__main__":
    main()
