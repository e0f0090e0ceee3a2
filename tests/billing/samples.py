"""What the tests of billing ask for."""

from chassis.caller import Caller
from services.billing.domain import AiCall, Item, Operation

ACCOUNT = "01900000-0000-7000-8000-00000000000a"
OPERATOR = Caller(
    issuer="gateway",
    principal="user:operator",
    account_id=ACCOUNT,
    role="developer",
    acting_for="operators",
)
"""An operator of the platform at work on the account."""
NO_CALL = AiCall()
CALL = AiCall(model="gpt-5-mini", prompt_tokens=900, completion_tokens=1400, object_id="text-1")


def text(key, words=1000):
    """Writing a text of so many words: 1 credit for each 100."""
    return Item(key, Operation.CONTENT_GENERATION, words)


def picture(key, quantity=1, variant=""):
    """Making pictures: 1 credit each, 4 for premium ones."""
    return Item(key, Operation.IMAGE_GENERATION, quantity, variant)
