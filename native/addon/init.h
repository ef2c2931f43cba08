// The addon's exports, one function an area; called once an environment from addon.cc.
#pragma once

#include <napi.h>

namespace dmiofs {

void init_device(Napi::Env env, Napi::Object exports);  // device_binding.cc: probeDevice
// system_binding.cc: xattrs, umount, log sink, reclaim protection
void init_system(Napi::Env env, Napi::Object exports);
void init_io(Napi::Env env, Napi::Object exports);      // io_binding.cc: openIo, fault rules
void init_dmio(Napi::Env env, Napi::Object exports);    // dmio_binding.cc: the dm-io services
void init_log(Napi::Env env, Napi::Object exports);     // log_binding.cc: createLog, inspectLog
void init_mirror(Napi::Env env, Napi::Object exports);  // mirror_binding.cc: openSet
void init_fuse(Napi::Env env, Napi::Object exports);    // fuse_binding.cc: fuseLoad, fuseAttach
void init_stages(Napi::Env env, Napi::Object exports);  // stage_binding.cc: stageTimes

}  // namespace dmiofs
