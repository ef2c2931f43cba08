#include "addon/set_values.h"

#include "addon/convert.h"

namespace dmiofs {
namespace {

Napi::Object leg_object(Napi::Env env, const LegInfo& leg) {
  Napi::Object object = Napi::Object::New(env);
  const auto errors = [&leg](LegErrorKind kind) { return leg.errors.count[static_cast<unsigned>(kind)]; };
  object.Set("device", leg.device);
  object.Set("sector", number(env, leg.sector));
  object.Set("count", number(env, leg.count));
  object.Set("state", to_string(leg.state));
  object.Set("replaces", leg.replaces);
  object.Set("lateIos", leg.late_ios);
  object.Set("health", std::string(1, leg.health));
  object.Set("readErrors", number(env, errors(LegErrorKind::kRead)));
  object.Set("writeErrors", number(env, errors(LegErrorKind::kWrite)));
  object.Set("flushErrors", number(env, errors(LegErrorKind::kFlush)));
  object.Set("syncErrors", number(env, errors(LegErrorKind::kSync)));
  object.Set("lastErrno", leg.errors.last_errno);
  object.Set("lastErrorSector", number(env, leg.errors.last_sector));
  object.Set("lastErrorTime", number(env, static_cast<uint64_t>(leg.errors.last_time)));
  object.Set("reads", number(env, leg.reads));
  object.Set("writes", number(env, leg.writes));
  object.Set("flushes", number(env, leg.flushes));
  object.Set("readBytes", number(env, leg.read_bytes));
  object.Set("writeBytes", number(env, leg.write_bytes));
  object.Set("repairedReads", number(env, leg.repaired_reads));
  return object;
}

}  // namespace

Napi::Object snapshot_object(Napi::Env env, const SetInfo& info) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", info.name);
  object.Set("count", number(env, info.count));
  object.Set("blockSize", number(env, info.block_size));
  object.Set("state", to_string(info.state));
  object.Set("readBits", Napi::BigInt::New(env, info.read_bits));
  object.Set("writeBits", Napi::BigInt::New(env, info.write_bits));
  object.Set("flushBits", Napi::BigInt::New(env, info.flush_bits));
  object.Set("syncRegions", number(env, info.sync_regions));
  object.Set("inSyncRegions", number(env, info.in_sync_regions));
  object.Set("dirtySyncRegions", number(env, info.dirty_sync_regions));
  object.Set("syncRegionSectors", number(env, info.sync_region_sectors));
  object.Set("readLeg", info.read_leg);
  object.Set("readOnly", info.read_only);
  object.Set("logFailed", info.log_failed);
  object.Set("generation", number(env, info.generation));
  object.Set("lateIos", info.late_ios);
  object.Set("inFlight", info.in_flight);
  object.Set("paused", info.paused);
  object.Set("limitsSet", info.limits_set);
  object.Set("speedMin", number(env, info.speed_min));
  object.Set("speedMax", number(env, info.speed_max));
  Napi::Array legs = Napi::Array::New(env, info.legs.size());
  for (uint32_t i = 0; i < info.legs.size(); i++) legs.Set(i, leg_object(env, info.legs[i]));
  object.Set("legs", legs);
  return object;
}

Napi::Array statistics_array(Napi::Env env, const std::vector<LegTotals>& totals) {
  static const char* const kNames[kLegOps] = {"read", "write", "flush", "zero"};
  Napi::Array legs = Napi::Array::New(env, totals.size());
  for (uint32_t leg = 0; leg < totals.size(); leg++) {
    Napi::Object ops = Napi::Object::New(env);
    for (unsigned op = 0; op < kLegOps; op++) {
      const LegOpTotal& total = totals[leg][op];
      Napi::Array buckets = Napi::Array::New(env, kLatencyBuckets);
      for (uint32_t k = 0; k < kLatencyBuckets; k++) buckets.Set(k, number(env, total.buckets[k]));
      Napi::Object object = Napi::Object::New(env);
      object.Set("bytes", number(env, total.bytes));
      object.Set("seconds", Napi::Number::New(env, static_cast<double>(total.nanos) / 1e9));
      object.Set("buckets", buckets);
      ops.Set(kNames[op], object);
    }
    legs.Set(leg, ops);
  }
  return legs;
}

Napi::Object sync_map_object(Napi::Env env, const SyncMap& map) {
  Napi::Uint8Array cells = Napi::Uint8Array::New(env, map.cells.size());
  for (size_t i = 0; i < map.cells.size(); i++) cells[i] = static_cast<uint8_t>(map.cells[i]);
  Napi::Object object = Napi::Object::New(env);
  object.Set("syncRegions", number(env, map.sync_regions));
  object.Set("perCell", number(env, map.per_cell));
  object.Set("cells", cells);
  return object;
}

Napi::Object comparison_object(Napi::Env env, int outcome, const Comparison& found) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("outcome", outcome == 0 ? "compared" : outcome > 0 ? "skipped" : "failed");
  object.Set("rangeCount", number(env, found.range_count));
  object.Set("sectors", number(env, found.sectors));
  object.Set("repairedCount", number(env, found.repaired_count));
  Napi::Array ranges = Napi::Array::New(env, found.ranges.size());
  for (uint32_t i = 0; i < found.ranges.size(); i++) {
    const DifferingRange& range = found.ranges[i];
    Napi::Object told = Napi::Object::New(env);
    told.Set("sector", number(env, range.sector));
    told.Set("count", number(env, range.count));
    told.Set("majority", range.majority);
    told.Set("repaired", range.repaired);
    Napi::Array legs = Napi::Array::New(env, range.legs.size());
    for (uint32_t at = 0; at < range.legs.size(); at++) {
      const LegContent& content = range.legs[at];
      Napi::Object leg = Napi::Object::New(env);
      leg.Set("leg", content.leg);
      leg.Set("sha256", hex(content.sha256));
      leg.Set("right", (range.right & error_bit(content.leg)) != 0);
      legs.Set(at, leg);
    }
    told.Set("legs", legs);
    ranges.Set(i, told);
  }
  object.Set("ranges", ranges);
  return object;
}

}  // namespace dmiofs
