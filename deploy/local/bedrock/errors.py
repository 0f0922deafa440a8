"""The refusals that Bedrock Runtime knows, with the HTTP status of each."""

from collections.abc import Mapping

# botocore/data/bedrock-runtime/2023-09-30/service-2.json, `error.httpStatusCode` of each shape.
STATUS_OF_ERROR: Mapping[str, int] = {
    "AccessDeniedException": 403,
    "ConflictException": 400,
    "InternalServerException": 500,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 400,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnknownOperationException": 404,
    "ValidationException": 400,
}

# The exceptions that may come inside a stream, after HTTP 200 (shapes ConverseStreamOutput and
# ResponseStream of the same file).
STREAM_EXCEPTIONS = frozenset(
    {
        "internalServerException",
        "modelStreamErrorException",
        "modelTimeoutException",
        "serviceUnavailableException",
        "throttlingException",
        "validationException",
    }
)

_MESSAGES: Mapping[str, str] = {
    "AccessDeniedException": "You don't have access to the model with the specified model ID.",
    "InternalServerException": "The system encountered an unexpected error during processing. "
    "Try your request again.",
    "ModelErrorException": "The request failed due to an error while processing the model.",
    "ModelNotReadyException": "The model specified in the request is not ready to serve inference "
    "requests.",
    "ModelStreamErrorException": "The model could not go on with its answer.",
    "ModelTimeoutException": "The request took too long to process. Processing time exceeded the "
    "model timeout length.",
    "ResourceNotFoundException": "Could not resolve the foundation model from the provided model "
    "identifier.",
    "ServiceUnavailableException": "Bedrock is unable to process your request.",
    "ThrottlingException": "Too many requests, please wait before trying again.",
}


class BedrockError(Exception):
    """A call that is refused with an error the AWS SDKs read: `name` and `message`."""

    def __init__(self, name: str, message: str | None = None) -> None:
        self.name = name
        self.message = message or usual_message(name)
        super().__init__(f"{name}: {self.message}")

    @property
    def status(self) -> int:
        """The HTTP status; 400 for a name that Bedrock does not have."""
        return STATUS_OF_ERROR.get(self.name, 400)


def invalid(message: str) -> BedrockError:
    """Return a ValidationException that says what is wrong with the request."""
    return BedrockError("ValidationException", message)


def usual_message(name: str) -> str:
    """Return what Bedrock usually says with the error `name`, in the spelling of either wire."""
    return _MESSAGES.get(
        name[:1].upper() + name[1:], f"The local stand-in was told to answer {name}."
    )


def error_payload(name: str, message: str) -> dict[str, object]:
    """Return the JSON body of an error, with the extra members that some errors carry."""
    payload: dict[str, object] = {"message": message}
    if name.lower() in {"modelerrorexception", "modelstreamerrorexception"}:
        payload["originalStatusCode"] = 500
    if name.lower() == "modelstreamerrorexception":
        payload["originalMessage"] = message
    return payload
