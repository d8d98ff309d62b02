"""Two small transformers that judge texts on one core: attacks on a model, pairs of questions."""

from parley_services.kit.models.judge.attack import AttackJudge, AttackScores, open_attack_judge
from parley_services.kit.models.judge.pair import PairJudge, open_pair_judge
from parley_services.kit.models.judge.session import JudgeBroken, JudgeFailed, JudgeMissing

__all__ = [
    "AttackJudge",
    "AttackScores",
    "JudgeBroken",
    "JudgeFailed",
    "JudgeMissing",
    "PairJudge",
    "open_attack_judge",
    "open_pair_judge",
]
