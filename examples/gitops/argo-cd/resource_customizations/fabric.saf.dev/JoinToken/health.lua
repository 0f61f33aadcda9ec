-- Usable, or used up as it was meant to be. Degraded is only what somebody has to look at.
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
local over = { Expired = true, Exhausted = true, Revoked = true }
if ready.status == "True" or over[ready.reason] then
  health.status = "Healthy"
elseif ready.status == "False" then
  health.status = "Degraded"
end
return health
