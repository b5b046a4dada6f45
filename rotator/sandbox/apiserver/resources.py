"""The resources that are served, as a table."""

from dataclasses import dataclass, replace

READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of one API version.

    `fields` are the top-level fields that its type declares (others are dropped, as decoding in Go does),
    `selectable` what a field selector may name. `unconditional_update` and `create_on_update` are those of the
    resource's strategy in kubernetes/pkg/registry, `returns_deleted` is its store's ReturnDeletedObject.
    """

    group: str
    version: str
    name: str
    kind: str
    short: str
    fields: tuple[str, ...]
    selectable: tuple[str, ...] = ()
    namespaced: bool = True
    create_on_update: bool = False
    unconditional_update: bool = True
    returns_deleted: bool = False
    verbs: tuple[str, ...] = READ + WRITE

    @property
    def api_version(self) -> str:
        """As in an object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """As in messages."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def qualified_kind(self) -> str:
        """As in messages that know the kind."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def type(self) -> str:
        """As Go prints a GroupVersionKind."""
        return f"{self.group}/{self.version}, Kind={self.kind}"

    @property
    def selectable_fields(self) -> tuple[str, ...]:
        """Every path that a field selector may name."""
        common = ("metadata.name", "metadata.namespace") if self.namespaced else ("metadata.name",)
        return common + self.selectable


NAMESPACES = Resource(
    "", "v1", "namespaces", "Namespace", "ns", ("spec", "status"), ("status.phase",), namespaced=False
)
SECRETS = Resource("", "v1", "secrets", "Secret", "", ("data", "type", "immutable"), ("type",))
SERVICE_ACCOUNTS = Resource(
    "",
    "v1",
    "serviceaccounts",
    "ServiceAccount",
    "sa",
    ("secrets", "imagePullSecrets", "automountServiceAccountToken"),
    returns_deleted=True,
)
PODS = Resource(
    "",
    "v1",
    "pods",
    "Pod",
    "po",
    ("spec", "status"),
    ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase"),
    returns_deleted=True,
)
EVENTS = Resource(
    "",
    "v1",
    "events",
    "Event",
    "ev",
    (
        "involvedObject",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "type",
        "eventTime",
        "series",
        "action",
        "related",
        "reportingComponent",
        "reportingInstance",
    ),
    (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "type",
    ),
    create_on_update=True,
)
LEASES = Resource(
    "coordination.k8s.io",
    "v1",
    "leases",
    "Lease",
    "",
    ("spec",),
    create_on_update=True,
    unconditional_update=False,
)

ACCESS_REVIEWS = Resource(
    "authorization.k8s.io",
    "v1",
    "selfsubjectaccessreviews",
    "SelfSubjectAccessReview",
    "",
    ("spec",),
    namespaced=False,
    verbs=("create",),
)
SUBJECT_REVIEWS = replace(ACCESS_REVIEWS, name="subjectaccessreviews", kind="SubjectAccessReview")
RULES_REVIEWS = replace(ACCESS_REVIEWS, name="selfsubjectrulesreviews", kind="SelfSubjectRulesReview")
IDENTITY_REVIEWS = replace(
    ACCESS_REVIEWS, group="authentication.k8s.io", name="selfsubjectreviews", kind="SelfSubjectReview", fields=()
)
TOKEN_REQUESTS = replace(IDENTITY_REVIEWS, name="serviceaccounts/token", kind="TokenRequest", fields=("spec",))

STORED = (NAMESPACES, SECRETS, SERVICE_ACCOUNTS, PODS, EVENTS, LEASES)
RESOURCES = (*STORED, ACCESS_REVIEWS, SUBJECT_REVIEWS, RULES_REVIEWS, IDENTITY_REVIEWS)
SUBRESOURCES = {(SERVICE_ACCOUNTS.name, "token")}
BY_NAME = {resource.name: resource for resource in RESOURCES}
GROUP_VERSIONS = tuple(dict.fromkeys((resource.group, resource.version) for resource in RESOURCES))


def find(group: str, version: str, name: str) -> Resource | None:
    """The resource under this path, if there is one."""
    resource = BY_NAME.get(name)
    return resource if resource and (resource.group, resource.version) == (group, version) else None
