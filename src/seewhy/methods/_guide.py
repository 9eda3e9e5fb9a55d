"""Which method for which question: takes nothing, gives questions with the methods to begin with; computes nothing."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["GUIDE", "Advice"]


class Advice(NamedTuple):
    """A question, the methods that answer it, best first, and why these."""

    question: str
    methods: tuple[str, ...]
    why: str


GUIDE = (
    Advice(
        "Where is the evidence for this class?",
        ("grad-cam", "hires-cam"),
        "one backward; hires-cam at a middle layer is finer",
    ),
    Advice(
        "Why this class and not that one?",
        ("finer-cam", "grad-cam"),
        "any CAM with contrast= competes with other classes",
    ),
    Advice(
        "Which pixels, in numbers that add up to the score?",
        ("integrated-gradients", "blur-ig", "full-grad", "deep-lift"),
        "each returns how much is missing; blur-ig has no baseline colour",
    ),
    Advice(
        "Which regions, in numbers that add up?",
        ("kernel-shap", "shapley-sampling"),
        "with a standard error; hundreds of forwards",
    ),
    Advice(
        "Only scores, no gradients (a function, a service)?",
        ("occlusion", "rise", "kernel-shap"),
        "forwards are all they need",
    ),
    Advice(
        "Evidence against a class?",
        ("occlusion", "grad-cam", "integrated-gradients"),
        "signed; many others cut the negative part off",
    ),
    Advice(
        "A vision transformer?", ("gradient-attention", "le-grad", "grad-cam"), "tokens and grids are found for you"
    ),
    Advice(
        "One object of a detector?",
        ("d-rise", "grad-cam"),
        "target=Box(...) or Candidate(...); the first takes any detector that can be called",
    ),
    Advice(
        "A backbone without classes?",
        ("attention-maps", "principal-components"),
        "or any method with target=Similarity(...): what makes it alike to another picture",
    ),
    Advice("Compared with these other images?", ("expected-gradients",), "references= is the question that it answers"),
    Advice(
        "Whole objects rather than dots?",
        ("xrai", "extremal-perturbation"),
        "regions; the smallest part that keeps the score",
    ),
    Advice(
        "What has a layer, channel or filter learnt?",
        ("feature-maps", "maximise", "filters", "factors"),
        "no class needed",
    ),
)
