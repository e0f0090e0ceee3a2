"""What the processes of a whole Writer are told for tests."""

from gateway.admission.throttles import PER_MINUTE

THROTTLE = 100_000

# Faults shall end soon, but the attempts together have room for a machine that is busy with
# something else; only stalls take all of it.
ENVIRONMENT = {
    "OPENAI_API_KEY": "",
    "OPENAI_BASE_URL": "",
    "WRITER_MODEL_ATTEMPTS": "3",
    "WRITER_MODEL_BUSY_ATTEMPTS": "3",
    "WRITER_MODEL_TIMEOUT_S": "3",
    "WRITER_MODEL_FIRST_DELAY_S": "0.05",
    # All accounts of the tests share one address, and some look often.
    "WRITER_THROTTLES": ",".join(f"{scope}={THROTTLE}" for scope in PER_MINUTE),
}
