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
from services.billing.service import (
    Accounts,
    Budgets,
    Catalogue,
    Corrections,
    ExpirySweeper,
    Grants,
    GroupCommit,
    Plans,
    Reservations,
    Settlement,
    Usage,
)


def wire(host: Host) -> Parts:
    """Builds billing from what the process offers."""
    database, outbox = host.database, host.outbox
    group_commit = GroupCommit(database, outbox)
    settlement = Settlement(group_commit)
    credit = servicer.CreditServicer(
        Accounts(database, outbox), Plans(database, outbox), Corrections(database, outbox)
    )
    reservation = servicer.ReservationServicer(Reservations(group_commit), settlement)
    grant = servicer.GrantServicer(Grants(database, outbox))
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
        loops=ExpirySweeper(database, outbox).loops(),
    )


def main() -> None:
    """Runs until SIGTERM."""
    run("billing", wire)


if __name__ == "__main__":
    main()
