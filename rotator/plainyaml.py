"""Plain data as YAML that people like to read and that every reader of YAML takes for the same. Pure."""

from collections.abc import Sequence

import yaml


class _Dumper(yaml.SafeDumper):
    """Words in a row on one line, as people write them, and in quotes where any YAML reader may take them for more."""

    def ignore_aliases(self, _data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless and flow)

    def represent_words(self, data: Sequence[object]) -> yaml.Node:
        flow = all(isinstance(item, str | int) for item in data)
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flow)

    def represent_word(self, data: str) -> yaml.Node:
        # kubectl's reader takes 1e5 for a number and y for true; PyYAML, which knows other forms, leaves both bare.
        plain = len(data) > 1 and (data[0].isalpha() or data[0] == "/")
        style = "|" if "\n" in data else None if plain else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(list, _Dumper.represent_words)
_Dumper.add_representer(str, _Dumper.represent_word)


def dump(data: object) -> str:
    """One document, in the order of the data; a text of several lines stands as it is."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)
