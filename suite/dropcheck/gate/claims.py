"""What a policy can require: the names of all checks, and beside them of what the gate says of speed and of itself."""

from __future__ import annotations

from dropcheck.judge.claims import CLAIMS

SPEED: dict[str, str] = {
    "speed.ratio": "a target is not slower than the reference by more than the policy allows",
    "speed.limit": "a target reaches the share of the physical limit that the policy asks for",
    "speed.compile": "compiling a target takes no longer, beside the reference, than the policy allows",
    "speed.memory": "a target needs no more memory, beside the reference, than the policy allows",
}
GATE: dict[str, str] = {
    "gate.evidence": "everything that the policy requires was measured, as it requires it",
    "gate.waiver": "every waiver still matches something",
    "gate.ratchet": "no figure is worse than what was reached before on this machine",
    "gate.run": "the gate itself could run",
}
RULES: dict[str, str] = {**CLAIMS, **SPEED, **GATE}
