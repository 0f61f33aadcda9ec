-- Decided either way is healthy; a pending one waits for a person.
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
local decided = { Approved = true, Denied = true }
if decided[ready.reason] then
  health.status = "Healthy"
elseif ready.reason == "AwaitingDecision" then
  health.status = "Suspended"
elseif ready.status == "False" then
  health.status = "Degraded"
end
return health
