{{- /*
What rotator may do follows from its configuration. This is rotator/rbac.py once more, and a test compares the two: a
right is a key "NAMESPACE/RESOURCE/NAME/VERB" of the dict .rights, where * is every namespace, or every name.
*/ -}}

{{- /* Adds rights: one for each of .verbs. */ -}}
{{- define "rotator.allow" -}}
{{- range $verb := splitList " " .verbs }}
{{- $_ := set $.rights (printf "%s/%s/%s/%s" $.place $.resource $.name $verb) true }}
{{- end }}
{{- end }}

{{- /* The namespaces that are named, less the excluded; or *, where patterns or labels choose. */ -}}
{{- define "rotator.places" -}}
{{- $named := list }}
{{- $listed := true }}
{{- range $name := .names | default (list "*") }}
  {{- $excluded := false }}
  {{- range $pattern := $.exclude }}
    {{- $expression := $pattern | replace "*" ".*" | replace "?" "." | replace "[!" "[^" }}
    {{- $excluded = or $excluded (regexMatch (printf "^(%s)$" $expression) $name) }}
  {{- end }}
  {{- if regexMatch "[*?[]" $name }}
    {{- $listed = false }}
  {{- else if not $excluded }}
    {{- $named = append $named $name }}
  {{- end }}
{{- end }}
{{- ternary $named (list "*") $listed | toJson }}
{{- end }}

{{- /* The ServiceAccounts that are named; or *, where patterns or labels choose; or none. */ -}}
{{- define "rotator.accounts" -}}
{{- $named := .names | default list }}
{{- range $name := $named }}
  {{- if regexMatch "[*?[]" $name }}
    {{- $named = list "*" }}
  {{- end }}
{{- end }}
{{- if and (not $named) .labels }}
  {{- $named = list "*" }}
{{- end }}
{{- $named | toJson }}
{{- end }}

{{- define "rotator.rights" -}}
{{- $rights := .rights }}
{{- $config := .root.Values.config }}
{{- $home := include "rotator.namespace" .root }}
{{- $watching := eq .root.Values.mode "deployment" }}
{{- $prune := $config.prune | default dict }}
{{- $former := $prune.former | default list }}

{{- /* Where a pattern or a label chooses, namespaces are listed, and watched for new ones. */ -}}
{{- $everywhere := false }}
{{- $watched := false }}
{{- $anyAccount := false }}
{{- range $pullSecret := $config.pullSecrets }}
  {{- if has "*" (include "rotator.places" .namespaces | fromJsonArray) }}
    {{- $everywhere = true }}
    {{- $watched = $watching }}
    {{- with .serviceAccounts }}
      {{- $anyAccount = or $anyAccount (and (has "*" (include "rotator.accounts" . | fromJsonArray)) (not .labels)) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- range $former }}
  {{- $everywhere = or $everywhere (has "*" (include "rotator.places" .namespaces | fromJsonArray)) }}
{{- end }}
{{- $namespaces := dict "rights" $rights "resource" "namespaces" "place" "*" "name" "*" }}
{{- if $everywhere }}
  {{- include "rotator.allow" (set $namespaces "verbs" (ternary "get list watch" "list" $watched)) }}
{{- end }}

{{- range $pullSecret := $config.pullSecrets }}
  {{- $accounts := .serviceAccounts | default dict }}
  {{- $verifies := eq ($accounts.mode | default "ensure") "verify" }}
  {{- range $place := include "rotator.places" .namespaces | fromJsonArray }}
    {{- $wide := eq $place "*" }}
    {{- $right := dict "rights" $rights "place" $place }}
    {{- if not $everywhere }}
      {{- include "rotator.allow" (merge (dict "resource" "namespaces" "name" $place "verbs" "get") $right) }}
    {{- end }}

    {{- /* Server-side apply is patch, and create where there is no Secret yet; what is watched is listed first. */ -}}
    {{- $secret := merge (dict "resource" "secrets" "name" $pullSecret.name) $right }}
    {{- include "rotator.allow" (set $secret "verbs" "get create patch") }}
    {{- if or $wide $watching }}
      {{- include "rotator.allow" (set $secret "verbs" "list") }}
    {{- end }}
    {{- if $watching }}
      {{- include "rotator.allow" (set $secret "verbs" "watch") }}
    {{- end }}

    {{- range $name := include "rotator.accounts" $accounts | fromJsonArray }}
      {{- $named := ne $name "*" }}
      {{- $account := merge (dict "resource" "serviceaccounts" "name" $name) $right }}
      {{- include "rotator.allow" (set $account "verbs" (ternary "get" "list" (and $named (not $wide)))) }}
      {{- if not $verifies }}
        {{- include "rotator.allow" (set $account "verbs" "get patch") }}
      {{- end }}
      {{- if $watching }}
        {{- include "rotator.allow" (set $account "verbs" "list watch") }}
      {{- end }}
      {{- if and $watching $wide $named (not $anyAccount) }}
        {{- include "rotator.allow" (set $account "verbs" "get") }}
      {{- end }}
    {{- end }}
  {{- end }}
{{- end }}

{{- /* What has left the configuration is looked for; deleted, with the references to it, only where prune is enabled. */ -}}
{{- range $former }}
  {{- $name := .name }}
  {{- range $place := include "rotator.places" .namespaces | fromJsonArray }}
    {{- $right := dict "rights" $rights "place" $place }}
    {{- if not $everywhere }}
      {{- include "rotator.allow" (merge (dict "resource" "namespaces" "name" $place "verbs" "get") $right) }}
    {{- end }}
    {{- $verb := ternary "list" "get" (eq $place "*") }}
    {{- include "rotator.allow" (merge (dict "resource" "secrets" "name" $name "verbs" $verb) $right) }}
  {{- end }}
{{- end }}
{{- if $prune.enabled }}
  {{- $sought := $former }}
  {{- range $config.pullSecrets }}
    {{- if has "*" (include "rotator.places" .namespaces | fromJsonArray) }}
      {{- $sought = append $sought . }}
    {{- end }}
  {{- end }}
  {{- range $sought }}
    {{- $name := .name }}
    {{- range $place := include "rotator.places" .namespaces | fromJsonArray }}
      {{- $right := dict "rights" $rights "place" $place }}
      {{- include "rotator.allow" (merge (dict "resource" "secrets" "name" $name "verbs" "get delete") $right) }}
      {{- include "rotator.allow" (merge (dict "resource" "serviceaccounts" "name" "*" "verbs" "get list patch") $right) }}
    {{- end }}
  {{- end }}
{{- end }}

{{- /* Of several replicas one writes, the holder of this Lease. */ -}}
{{- if and $watching (include "rotator.elects" .root) }}
  {{- $election := $config.leaderElection | default dict }}
  {{- $place := $election.namespace | default $home }}
  {{- $lease := dict "rights" $rights "place" $place "resource" "leases" "name" ($election.name | default "rotator") }}
  {{- include "rotator.allow" (set $lease "verbs" "get create update") }}
{{- end }}

{{- /* Events stand beside the objects, and beside rotator itself. */ -}}
{{- if $rights }}
  {{- $events := dict "rights" $rights "resource" "events" "name" "*" "verbs" "create patch" }}
  {{- include "rotator.allow" (set $events "place" $home) }}
  {{- range $config.pullSecrets }}
    {{- range $place := include "rotator.places" .namespaces | fromJsonArray }}
      {{- include "rotator.allow" (set $events "place" $place) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* The rules for .there, rights of one place: but those that a wider one of .rights implies; one for all names alike. */ -}}
{{- define "rotator.rules" -}}
{{- $verbs := dict }}
{{- range $right := .there }}
  {{- $part := splitList "/" $right }}
  {{- $place := index $part 0 }}
  {{- $resource := index $part 1 }}
  {{- $name := index $part 2 }}
  {{- $verb := index $part 3 }}
  {{- $implied := false }}
  {{- range $wider := list (list $place "*") (list "*" $name) (list "*" "*") }}
    {{- $other := printf "%s/%s/%s/%s" (first $wider) $resource (last $wider) $verb }}
    {{- $implied = or $implied (and (ne $other $right) (hasKey $.rights $other)) }}
  {{- end }}
  {{- if not $implied }}
    {{- $key := printf "%s/%s" $resource $name }}
    {{- $_ := set $verbs $key (append (get $verbs $key | default list) $verb) }}
  {{- end }}
{{- end }}
{{- $rules := dict }}
{{- range $key, $allowed := $verbs }}
  {{- $resource := first (splitList "/" $key) }}
  {{- $name := last (splitList "/" $key) }}
  {{- $alike := printf "%s/%s/%t" $resource (join " " $allowed) (eq $name "*") }}
  {{- $_ := set $rules $alike (append (get $rules $alike | default list) $name) }}
{{- end }}
{{- range $alike, $names := $rules }}
{{- $part := splitList "/" $alike }}
- apiGroups: [{{ ternary "coordination.k8s.io" "\"\"" (eq (first $part) "leases") }}]
  resources: [{{ first $part }}]
  {{- if ne (first $names) "*" }}
  resourceNames: {{ $names | toJson }}
  {{- end }}
  verbs: [{{ index $part 1 | splitList " " | join ", " }}]
{{- end }}
{{- end }}
