"""The calls about deliveries, described."""

from __future__ import annotations

from jobs.errors import DeliveryMoved, DeliveryNotFound, JobNotFound
from web import examples
from web.calls import JOB_ID, Call, Link, Parameter, Told
from web.rest_models import DeliveryList, DeliveryObject

TAG = "deliveries"

SHOW = Call(
    operation="list_deliveries",
    tag=TAG,
    summary="Show who was told of a job's end",
    description="Each announcement, one a kind of receiver, with its last tries.",
    parameters=(JOB_ID,),
    answers={
        200: Told(
            description="the announcements; none before the end",
            model=DeliveryList,
            example={"deliveries": [examples.DELIVERY]},
            headers=("Cache-Control",),
            links=(
                Link(
                    operation="replay_delivery",
                    parameters={
                        "job_id": "$request.path.job_id",
                        "delivery_id": "$response.body#/deliveries/0/id",
                    },
                ),
            ),
        )
    },
    refusals=(JobNotFound,),
)

REPLAY = Call(
    operation="replay_delivery",
    tag=TAG,
    summary="Tell a receiver again",
    description="The announcement is told again within seconds, under the same event id.",
    parameters=(
        JOB_ID,
        Parameter(
            name="delivery_id",
            place="path",
            description="the announcement's `id`",
            schema={"type": "string", "minLength": 1},
            example=examples.DELIVERY_ID,
        ),
    ),
    answers={
        202: Told(
            description="it is due",
            model=DeliveryObject,
            example=examples.DUE_DELIVERY,
            headers=("Cache-Control",),
        )
    },
    refusals=(JobNotFound, DeliveryNotFound, DeliveryMoved),
)
