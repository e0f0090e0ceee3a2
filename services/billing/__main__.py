"""The billing process: wiring only."""

from __future__ import annotations

from writer.billing.v1 import (
    budgets_pb2_grpc,
    credits_pb2_grpc,
    grants_pb2_grpc,
    prices_pb2_grpc,
    reservations_pb2_grpc,
    usage_pb2_grpc,
)

from chassis.process import Host, Parts, run
from services.billing import servicer
from services.billing.consumers import Consumers
from services.billing.events import Facts
from services.billing.service import (
    Accounts,
    Budgets,
    Catalogue,
    Corrections,
    ExpirySweeper,
    Grants,
    Plans,
    Reservations,
    Settlement,
    Usage,
)


def wire(host: Host) -> Parts:
    """Builds billing from what the process offers."""
    database, facts = host.database, Facts(host.outbox)
    settlement = Settlement(database, facts)
    credit = servicer.CreditServicer(
        Accounts(database, facts), Plans(database, facts), Corrections(database, facts)
    )
    reservation = servicer.ReservationServicer(Reservations(database, facts), settlement)
    grant = servicer.GrantServicer(Grants(database, facts))
    budget = servicer.BudgetServicer(Budgets(database))
    usage = servicer.UsageServicer(Usage(database))
    price = servicer.PriceServicer(Catalogue(database))
    return Parts(
        servicers=[
            (credits_pb2_grpc.add_CreditServiceServicer_to_server, credit),
            (reservations_pb2_grpc.add_ReservationServiceServicer_to_server, reservation),
            (grants_pb2_grpc.add_GrantServiceServicer_to_server, grant),
            (budgets_pb2_grpc.add_BudgetServiceServicer_to_server, budget),
            (usage_pb2_grpc.add_UsageServiceServicer_to_server, usage),
            (prices_pb2_grpc.add_PriceServiceServicer_to_server, price),
        ],
        subscriptions=Consumers(settlement).subscriptions(),
        loops=[ExpirySweeper(database, facts).run],
    )


def main() -> None:
    """Runs until SIGTERM."""
    run("billing", wire)


if __name__ == "__main__":
    main()
