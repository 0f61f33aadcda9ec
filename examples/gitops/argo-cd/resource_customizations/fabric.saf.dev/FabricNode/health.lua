-- A member. One that joins is on its way; one that its owner suspended or revoked is as it was meant to be.
local health = { status = "Progressing", message = "Waiting for the operator" }
if obj.status == nil or obj.status.conditions == nil then
  return health
end
-- What was said of an older spec says nothing about this one.
if obj.status.observedGeneration ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local ready = conditions["Ready"]
if ready == nil then
  return health
end
health.message = ready.reason .. ": " .. ready.message
local underway = { Joining = true, AwaitingNode = true, NotIssued = true }
if ready.status == "True" then
  health.status = "Healthy"
elseif obj.spec.suspended or obj.spec.revoked ~= nil then
  health.status = "Suspended"
elseif ready.status == "False" and not underway[ready.reason] then
  health.status = "Degraded"
end
return health
