-- In force and known to the nodes concerned. What is over, not begun, or for nodes to come has nothing left to do: a sync must not
-- wait for it.
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
local propagated = conditions["Propagated"]
if ready.status == "True" then
  if propagated ~= nil and propagated.status == "True" then
    health.status = "Healthy"
  elseif propagated ~= nil then
    health.message = propagated.reason .. ": " .. propagated.message
  end
elseif ready.reason == "Expired" or ready.reason == "Pending" then
  health.status = "Healthy"
elseif ready.reason == "NoMatch" and obj.spec.nodeName == nil then
  health.status = "Healthy"
end
return health
