"""A world of known truth: questions about images cut into patches, each of which gets 64, 128, 256 or 400 tokens.

The probability that a question is answered rightly is known, and adds up over the patches:

    p = .25 + .70 · Σ_i h(q, k_i) (1 − exp(−t_i / τ(q))) / (n / 4) − dilution · Σ_i t_i / (400 n)

q is the question's type, k_i the patch's kind (as many patches are of each kind), t_i its tokens. h says which kinds a
question needs, τ how many tokens it takes: colours show in few, text needs many. So p is concave in every t_i, and
depends on the question. Tokens of patches that show nothing of what is asked distract: `dilution` is what 400 tokens
everywhere would cost. Types and kinds are not in the log: a question and a patch are noisy embeddings of them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from croupier.features.batch import F32, F64, I64

TOKENS = (64, 128, 256, 400)
QUESTIONS = ("colour", "counting", "text")
KINDS = ("plain", "colourful", "objects", "text")
REGIONS = 4  # quarters of the image
NEEDS = np.array([[0.0, 0.8, 0.2, 0.0], [0.0, 0.15, 0.8, 0.05], [0.0, 0.0, 0.1, 0.9]])  # h, (questions, kinds)
TAU = np.array([50.0, 120.0, 220.0])  # tokens, by question
CHANCE, SKILL, WIDTH = 0.25, 0.70, 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions:
    """B questions: `question` (B, d), `patch` (B, n, d) embeddings; `kind` (B, n) and `type` (B,), which no log has."""

    question: F32
    patch: F32
    type: I64
    kind: I64

    def __len__(self) -> int:
        return len(self.type)


@dataclass(frozen=True, kw_only=True, eq=False)
class Patches:
    """`patches` in an image, a multiple of 4; `noise`: standard deviation of embeddings whose centres have length 1.
    Raises ValueError where there is no such image."""

    seed: int = 0
    patches: int = 16
    dilution: float = 0.08
    noise: float = 0.25

    def __post_init__(self) -> None:
        if self.patches < 4 or self.patches % 4:
            raise ValueError(f"patches: found {self.patches}, expected a multiple of 4, as many of each kind")

    @property
    def region(self) -> I64:
        """(n,): the quarter that each patch is in."""
        return np.arange(self.patches) * REGIONS // self.patches

    @cached_property
    def options(self) -> F32:
        """(4, 3): which number of tokens, an indicator for each above the first."""
        return np.eye(len(TOKENS), dtype=np.float32)[:, 1:]

    @cached_property
    def _centres(self) -> tuple[F64, F64]:
        """Orthonormal centres of questions and kinds, (3, d) and (4, d), turned at random."""
        rng = np.random.default_rng([self.seed, 1])
        turned = [np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0] for _ in range(2)]
        return turned[0][: len(QUESTIONS)], turned[1][: len(KINDS)]

    def ask(self, n: int, rng: np.random.Generator) -> Questions:
        """Returns n questions about n images."""
        questions, kinds = self._centres
        which = rng.integers(len(QUESTIONS), size=n)
        kind = rng.permuted(np.tile(np.arange(self.patches) % len(KINDS), (n, 1)), axis=1)
        question = questions[which] + self.noise * rng.normal(size=(n, WIDTH)) / np.sqrt(WIDTH)
        patch = kinds[kind] + self.noise * rng.normal(size=(n, self.patches, WIDTH)) / np.sqrt(WIDTH)
        return Questions(
            question=question.astype(np.float32), patch=patch.astype(np.float32), type=which, kind=kind.astype(np.int64)
        )

    def needed(self, asked: Questions) -> F64:
        """(B, n): how much of what a question needs each patch shows, h(q, k)."""
        needed: F64 = NEEDS[asked.type[:, None], asked.kind]
        return needed

    def worth(self, asked: Questions) -> F64:
        """(B, n, 4): what each number of tokens of each patch adds to the probability of a right answer."""
        tokens = np.array(TOKENS, np.float64)
        seen = 1 - np.exp(-tokens / TAU[asked.type][:, None])  # (B, 4)
        spread: F64 = SKILL * self.needed(asked)[:, :, None] * seen[:, None, :] * 4 / self.patches
        return spread - self.dilution * tokens / (TOKENS[-1] * self.patches)

    def accuracy(self, asked: Questions, marginals: F64) -> F64:
        """(B,): the exact probability of a right answer when options are taken with probabilities `marginals`
        (B, n, 4)."""
        right: F64 = CHANCE + (self.worth(asked) * marginals).sum(axis=(1, 2))
        return right

    def fixed(self, asked: Questions, tokens: int) -> F64:
        """(B,): the probability of a right answer at so many tokens for every patch. Raises ValueError where `tokens`
        is none of the options."""
        if tokens not in TOKENS:
            raise ValueError(f"tokens: found {tokens}, expected one of {', '.join(map(str, TOKENS))}")
        same = np.eye(len(TOKENS))[TOKENS.index(tokens)]
        return self.accuracy(asked, np.broadcast_to(same, (len(asked), self.patches, len(TOKENS))))
