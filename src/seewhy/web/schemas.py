"""What clients send, as pydantic checks it: no value is taken that is not told here, and none that is longer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StrictBool, StrictInt, StrictStr

__all__ = ["Activations", "Explain", "Export", "Intervene", "Keep"]

#: the largest whole number that a parameter may be
_MANY = 1_000_000
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Class = Annotated[StrictInt, Field(ge=0, lt=10_000_000)] | Word
Share = Annotated[FiniteFloat, Field(ge=-4, le=5)]
Point = Annotated[list[Share], Field(min_length=2, max_length=2)]
#: of a method's own parameter: samples, steps and the like are counted in memory as well as in time
Value = (
    StrictBool
    | Annotated[StrictInt, Field(ge=-_MANY, le=_MANY)]
    | Annotated[FiniteFloat, Field(ge=-_MANY, le=_MANY)]
    | Annotated[StrictStr, Field(max_length=100)]
)


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Explain(_Asked):
    """Why a photo was called what it was."""

    photo: Id
    methods: Annotated[list[Word], Field(min_length=1, max_length=24)] = Field(description="names, see /methods")
    target: Class | None = Field(None, description="a class, by its number or label; left out: the top class")
    against: Class | None = Field(None, description='"why the target and not this": the difference of both scores')
    layer: Word | None = Field(None, description="see /layers; left out: the method's own choice")
    trust: bool = Field(False, description="measure how far to believe each map, in some hundred passes more")
    parameters: dict[Word, dict[Word, Value]] = Field({}, description="of each method, by its name")


class Activations(_Asked):
    """The channels of a layer as a sheet of pictures, those first that speak for the top class."""

    photo: Id
    layer: Word
    count: Annotated[int, Field(ge=1, le=128)] = 16


class _Shape(_Asked):
    erase: bool = Field(False, description="takes away what shapes before it cover")


class Stroke(_Shape):
    """A line as wide as ``width``, a fraction of the photo's width, through points in fractions of the photo."""

    kind: Literal["stroke"]
    points: Annotated[list[Point], Field(min_length=1, max_length=5000)]
    width: Annotated[FiniteFloat, Field(gt=0, le=2)]


class Box(_Shape):
    """Left, top, right and bottom, in fractions of the photo."""

    kind: Literal["box"]
    box: Annotated[list[Share], Field(min_length=4, max_length=4)]


class Polygon(_Shape):
    """Corners, in fractions of the photo."""

    kind: Literal["polygon"]
    points: Annotated[list[Point], Field(min_length=3, max_length=5000)]


Shape = Annotated[Stroke | Box | Polygon, Field(discriminator="kind")]


class Patch(_Asked):
    """Another photo; x and y are where in what the model sees of it the upper left corner of the region comes from."""

    photo: Id
    x: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.0
    y: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.0


class Intervene(_Asked):
    """What hiding regions of a photo does to its scores."""

    photo: Id
    shapes: Annotated[list[Shape], Field(max_length=200)]
    fill: Annotated[str, Field(max_length=20)] = Field("grey", description="one of the session's fills")
    patch: Patch | None = Field(None, description='with fill "patch"')
    classes: Annotated[list[Annotated[StrictInt, Field(ge=0)]], Field(max_length=50)] = Field(
        [], description="asked about beside the best ones"
    )
    top: Annotated[int, Field(ge=1, le=50)] = 5
    picture: bool = Field(False, description="give what the model saw, as a data: URL")


class Keep(_Asked):
    """A finding."""

    title: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\w")]
    note: Annotated[str, Field(max_length=4000)] = ""
    view: Annotated[str, Field(max_length=4000)] = Field("", description="the part of the address behind #")
    intervention: Intervene | None = Field(None, description="asked again, and kept with the finding")


class Export(_Asked):
    """Several results as one file."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    explanations: Annotated[list[Id], Field(min_length=1, max_length=48)]
    kind: Literal["png", "svg", "npz", "html"] = Field("html", alias="as")
