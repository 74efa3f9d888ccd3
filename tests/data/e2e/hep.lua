-- HEP3 for tshark, which knows it only by a plugin: each chunk as a field, and the message that it
-- carries given to SIP's own dissector. Written from the protocol's description alone, apart from the
-- writer that it checks. Use: tshark -X lua_script:hep.lua -d udp.port==9060,hep

local hep = Proto("hep", "Homer Encapsulation Protocol 3")
local field = {
  family = ProtoField.uint8("hep.family", "IP family"),
  protocol = ProtoField.uint8("hep.protocol", "IP protocol"),
  source4 = ProtoField.ipv4("hep.source", "Source"),
  target4 = ProtoField.ipv4("hep.target", "Target"),
  source6 = ProtoField.ipv6("hep.source6", "Source"),
  target6 = ProtoField.ipv6("hep.target6", "Target"),
  source_port = ProtoField.uint16("hep.source_port", "Source port"),
  target_port = ProtoField.uint16("hep.target_port", "Target port"),
  seconds = ProtoField.uint32("hep.seconds", "Seconds"),
  micros = ProtoField.uint32("hep.micros", "Microseconds"),
  kind = ProtoField.uint8("hep.kind", "Payload kind"),
  agent = ProtoField.uint32("hep.agent", "Capture agent"),
  key = ProtoField.string("hep.key", "Authenticate key"),
  correlation = ProtoField.string("hep.correlation", "Correlation id"),
  payload = ProtoField.bytes("hep.payload", "Payload"),
}
hep.fields = field

local by_type = {
  [1] = { field.family, 1 }, [2] = { field.protocol, 1 },
  [3] = { field.source4, 4 }, [4] = { field.target4, 4 },
  [5] = { field.source6, 16 }, [6] = { field.target6, 16 },
  [7] = { field.source_port, 2 }, [8] = { field.target_port, 2 },
  [9] = { field.seconds, 4 }, [10] = { field.micros, 4 },
  [11] = { field.kind, 1 }, [12] = { field.agent, 4 },
  [14] = { field.key }, [15] = { field.payload }, [17] = { field.correlation },
}

local wrong = ProtoExpert.new("hep.wrong", "not as HEP3 has it", expert.group.MALFORMED, expert.severity.ERROR)
hep.experts = { wrong }

function hep.dissector(buffer, info, tree)
  if buffer:len() < 6 or buffer(0, 4):string() ~= "HEP3" then return 0 end
  info.cols.protocol = "HEP3"
  local branch = tree:add(hep, buffer())
  local total = buffer(4, 2):uint()
  if total ~= buffer:len() then branch:add_proto_expert_info(wrong, "total length") end
  local at, kind, payload = 6, nil, nil
  while at + 6 <= buffer:len() do
    local vendor, type, length = buffer(at, 2):uint(), buffer(at + 2, 2):uint(), buffer(at + 4, 2):uint()
    if length < 6 or at + length > buffer:len() then
      branch:add_proto_expert_info(wrong, "chunk length")
      return
    end
    local known = vendor == 0 and by_type[type]
    if not known or (known[2] and known[2] ~= length - 6) then
      branch:add_proto_expert_info(wrong, "chunk " .. type)
    elseif length > 6 then
      local value = buffer(at + 6, length - 6)
      branch:add(known[1], value)
      if type == 11 then kind = value:uint() end
      if type == 15 then payload = value end
    end
    at = at + length
  end
  if at ~= buffer:len() then branch:add_proto_expert_info(wrong, "octets behind the last chunk") end
  if not payload or not kind then
    branch:add_proto_expert_info(wrong, "no payload")
  elseif kind == 1 then
    Dissector.get("sip"):call(payload:tvb(), info, tree)
  elseif kind == 5 then
    Dissector.get("json"):call(payload:tvb(), info, tree)
  end
end

DissectorTable.get("udp.port"):add_for_decode_as(hep)
