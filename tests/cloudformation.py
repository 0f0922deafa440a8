"""The template as a file, with CloudFormation's own functions worked out, and as a real stack.

`Template.resources` is what the template says for given parameters. It knows the functions that
the template uses, and refuses any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from deploy.local.environment import REPO_ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATE = REPO_ROOT / "deploy" / "aws" / "longhaul.yaml"
ACCOUNT, REGION = "000000000000", "us-east-1"
_PSEUDO = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": "aws"}
_GONE = object()
_NAMED_IN_TEXT = re.compile(r"\$\{([A-Za-z0-9:.]+)\}")


class _Loader(yaml.SafeLoader):
    """YAML with `!Ref X` as {"Ref": "X"} and `!Sub X` as {"Fn::Sub": "X"}."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    match node:
        case yaml.ScalarNode():
            value: Any = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            raise AssertionError(f"!{suffix} of a mapping")
    if suffix == "GetAtt":
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def read_template() -> dict[str, Any]:
    """Read the file, functions unworked."""
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(), _Loader)  # noqa: S506 - a SafeLoader
    return template


@dataclass(frozen=True, kw_only=True)
class Template:
    """What the template says for these parameters."""

    given: Mapping[str, str]
    source: dict[str, Any] = field(default_factory=read_template)

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """Give each resource that is made: its type, policies of deletion, and properties."""
        return {
            name: self._work_out(resource)
            for name, resource in self.source["Resources"].items()
            if "Condition" not in resource or self._holds(resource["Condition"])
        }

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Give the properties of each resource of a type."""
        return {
            name: resource["Properties"]
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def statements(self, process: str) -> list[dict[str, Any]]:
        """Give what a process's policy allows."""
        document = self.of_type("AWS::IAM::ManagedPolicy")[f"{process.title()}Policy"]
        statements: list[dict[str, Any]] = document["PolicyDocument"]["Statement"]
        return statements

    def output(self, name: str) -> str:
        """Give the value of an output."""
        value: str = self._work_out(self.source["Outputs"][name]["Value"])
        return value

    def _work_out(self, node: Any) -> Any:  # noqa: ANN401 - YAML
        match node:
            case {"Ref": "AWS::NoValue"}:
                return _GONE
            case {"Ref": name}:
                return self._value(name)
            case dict() if len(node) == 1 and next(iter(node)).startswith("Fn::"):
                [(function, argument)] = node.items()
                return self._call(function, argument)
            case dict():
                worked = {key: self._work_out(value) for key, value in node.items()}
                return {key: value for key, value in worked.items() if value is not _GONE}
            case list():
                return [one for one in map(self._work_out, node) if one is not _GONE]
            case _:
                return node

    def _call(self, function: str, argument: Any) -> Any:  # noqa: ANN401, PLR0911 - YAML; a table
        if function == "Fn::If":
            name, yes, no = argument
            return self._work_out(yes if self._holds(name) else no)
        if function == "Fn::GetAtt":
            return self._attribute(*argument)
        worked = self._work_out(argument)
        match function:
            case "Fn::FindInMap":
                kind, row, column = worked
                return self.source["Mappings"][kind][row][column]
            case "Fn::Join":
                return worked[0].join(worked[1])
            case "Fn::Split":
                return worked[1].split(worked[0])
            case "Fn::Select":
                return worked[1][int(worked[0])]
            case "Fn::Equals":
                return worked[0] == worked[1]
            case "Fn::Not":
                return not worked[0]
            case "Fn::Sub":
                text, names = (worked, {}) if isinstance(worked, str) else worked
                return _NAMED_IN_TEXT.sub(lambda found: self._named(found[1], names), text)
        raise AssertionError(f"the tests do not know {function}")

    def _named(self, name: str, names: Mapping[str, str]) -> str:
        if name in names:
            return names[name]
        if "." in name:
            return self._attribute(*name.split(".", 1))
        return str(self._value(name))

    def _holds(self, condition: str) -> bool:
        return bool(self._work_out(self.source["Conditions"][condition]))

    def _value(self, name: str) -> Any:  # noqa: ANN401 - text, or a list of it
        if name in _PSEUDO:
            return _PSEUDO[name]
        if (parameter := self.source["Parameters"].get(name)) is not None:
            text = str(self.given.get(name, parameter.get("Default")))
            return text.split(",") if parameter["Type"] == "CommaDelimitedList" else text
        resource = self.source["Resources"][name]
        for key in ("TableName", "BucketName"):
            if key in resource["Properties"]:
                return self._work_out(resource["Properties"][key])
        return f"<{name}>"

    def _attribute(self, resource: str, attribute: str) -> str:
        name, kind = self._value(resource), self.source["Resources"][resource]["Type"]
        match kind, attribute:
            case "AWS::DynamoDB::Table", "Arn":
                return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}"
            case "AWS::DynamoDB::Table", "StreamArn":
                return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}/stream/2026-01-01"
            case "AWS::S3::Bucket", "Arn":
                return f"arn:aws:s3:::{name}"
            case "AWS::Events::EventBus", "Arn":
                bus = self._work_out(self.source["Resources"][resource]["Properties"]["Name"])
                return f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}"
        raise AssertionError(f"the tests do not know {resource}.{attribute}")
