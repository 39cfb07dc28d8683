"""The JSON form of an experiment as a marketer sends it, and the experiment it describes."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints

from campaigns.content.languages import Template, template_of
from campaigns.errors import FieldError
from campaigns.experiments.experiment import Experiment, Switchback, Variant

MAX_VARIANTS = 10
MAX_WEIGHT = 1000
MAX_HOLDOUT_PERCENT = 90
MIN_PERIOD_SECONDS = 1800
MAX_PERIOD_SECONDS = 28 * 86_400

_STRICT = ConfigDict(extra="forbid", strict=True)
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:@~-]{1,128}$")]


class VariantForm(BaseModel):
    """One way to say it; `weight` is its share of the sum of all weights. Default template: the campaign's."""

    model_config = _STRICT
    name: _Name
    weight: Annotated[int, Field(ge=1, le=MAX_WEIGHT)] = 1
    template: (
        Annotated[
            str | dict[str, str],
            PlainValidator(template_of, json_schema_input_type=str | dict[str, str]),
        ]
        | None
    ) = None


class SwitchbackForm(BaseModel):
    """Each geofence is on in one of each two periods; the first seconds of a period are not compared."""

    model_config = _STRICT
    period_seconds: Annotated[int, Field(ge=MIN_PERIOD_SECONDS, le=MAX_PERIOD_SECONDS)]
    washout_seconds: Annotated[int, Field(ge=0, le=MAX_PERIOD_SECONDS)]


class ExperimentForm(BaseModel):
    """What is tried out. `id` is the salt of the draws (default: the campaign's id); another id draws everybody anew."""

    model_config = _STRICT
    id: _Name | None = None
    holdout_percent: Annotated[int, Field(ge=0, le=MAX_HOLDOUT_PERCENT)] = 0
    variants: Annotated[list[VariantForm], Field(max_length=MAX_VARIANTS)] = []
    switchback: SwitchbackForm | None = None
    smallest_effect_points: Annotated[
        float,
        Field(ge=0.1, le=50, description="Reports warn when such a difference in percentages may be missed."),
    ] = 2.0


def experiment_of(form: ExperimentForm | None, campaign_id: str, template: Template) -> Experiment | None:
    """The experiment that a form describes, of a campaign with this id and template; `experiment_problems` tells whether it can be run."""
    if form is None:
        return None
    return Experiment(
        id=form.id or campaign_id,
        holdout_percent=form.holdout_percent,
        variants=tuple(Variant(each.name, each.weight, each.template or template) for each in form.variants),
        switchback=Switchback(form.switchback.period_seconds, form.switchback.washout_seconds)
        if form.switchback
        else None,
        smallest_effect_points=form.smallest_effect_points,
    )


def experiment_problems(experiment: Experiment | None) -> Iterator[FieldError]:
    """The rules between fields that an experiment breaks; those of templates are told by `campaign_problems`."""
    if experiment is None:
        return
    names = [variant.name for variant in experiment.variants]
    switchback = experiment.switchback
    if not (names or experiment.holdout_percent or switchback):
        yield FieldError(
            "experiment", "nothing is tried out; give variants, holdout_percent or switchback, or null"
        )
    if len(names) == 1:
        yield FieldError("experiment.variants", "one variant is no comparison; give two or more, or none")
    if len(set(names)) < len(names):
        yield FieldError("experiment.variants", "names must differ")
    if switchback and (names or experiment.holdout_percent):
        yield FieldError(
            "experiment.switchback", "a switchback runs alone; drop variants and holdout_percent"
        )
    if switchback and 2 * switchback.washout_seconds > switchback.period_seconds:
        yield FieldError("experiment.switchback.washout_seconds", "must be at most half of period_seconds")
