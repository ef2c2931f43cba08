#include "addon/dmio_arguments.h"

#include "addon/device_object.h"

namespace dmiofs {
namespace {

void type_error(Napi::Env env, const char* what) {
  Napi::TypeError::New(env, what).ThrowAsJavaScriptException();
}

bool parse_piece(Napi::Value value, uint8_t** data, size_t* length) {
  // Not by way of its ArrayBuffer: there is none when the memory is shared between threads.
  napi_typedarray_type type = napi_int8_array;
  void* at = nullptr;
  if (napi_get_typedarray_info(value.Env(), value, &type, length, &at, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || (at == nullptr && *length > 0)) {
    return false;
  }
  *data = static_cast<uint8_t*>(at);
  return true;
}

}  // namespace

bool parse_arguments(const Napi::CallbackInfo& call, size_t first, DmioArguments* request) {
  const auto at = [&call, first](size_t index) { return call[first + index]; };
  if (call.Length() < first + 8 || !at(0).IsNumber() || !at(1).IsArray() || !at(2).IsArray() ||
      !at(3).IsArray() || !at(4).IsNumber() || !at(5).IsArray() || !at(6).IsArray() || !at(7).IsArray()) {
    type_error(call.Env(), "a dm-io request has other arguments");
    return false;
  }
  const uint32_t op = at(0).As<Napi::Number>().Uint32Value();
  const uint32_t kind = at(4).As<Napi::Number>().Uint32Value();
  const auto devices = at(1).As<Napi::Array>();
  const auto sectors = at(2).As<Napi::Array>();
  const auto counts = at(3).As<Napi::Array>();
  const auto pieces = at(5).As<Napi::Array>();
  const auto offsets = at(6).As<Napi::Array>();
  const auto lengths = at(7).As<Napi::Array>();
  const auto number_at = [](const Napi::Array& array, uint32_t index) {
    const Napi::Value value = array.Get(index);
    return value.IsNumber() ? static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()) : UINT64_MAX;
  };
  if (op >= kIoOps || kind > 3 || devices.Length() > kMaxIoRegions) {
    type_error(call.Env(), "op, kind or regions of a dm-io request are out of range");
    return false;
  }
  request->op = static_cast<IoOp>(op);
  for (uint32_t i = 0; i < devices.Length(); i++) {
    DeviceObject* device = DeviceObject::from(devices.Get(i));
    if (device == nullptr || device->device() == nullptr) {
      type_error(call.Env(), "a region's device is not open");
      return false;
    }
    request->where.push_back(IoRegion{device->device(), number_at(sectors, i), number_at(counts, i)});
  }
  for (uint32_t i = 0; i < pieces.Length(); i++) {
    uint8_t* data = nullptr;
    size_t length = 0;
    if (!parse_piece(pieces.Get(i), &data, &length)) {
      type_error(call.Env(), "a piece of memory is not a Uint8Array");
      return false;
    }
    const uint64_t offset = kind == 2 ? 0 : number_at(offsets, kind == 0 ? 0 : i);
    if (kind == 0) {
      if (length != kPageSize || offset >= kPageSize) {
        type_error(call.Env(), "a page has 4096 bytes, and the offset lies in the first");
        return false;
      }
      request->pages.push_back(PageList{nullptr, data});
    } else {
      const uint64_t wanted = kind == 1 ? number_at(lengths, i) : length;
      if (offset > length || wanted > length - offset) {
        type_error(call.Env(), "a vector lies beyond its page");
        return false;
      }
      request->vecs.push_back(BioVec{data, static_cast<size_t>(wanted), static_cast<size_t>(offset)});
    }
  }
  for (size_t i = 0; i + 1 < request->pages.size(); i++) request->pages[i].next = &request->pages[i + 1];
  if (kind == 0) {
    request->memory = MemoryCursor::page_list(request->pages.empty() ? nullptr : request->pages.data(),
                                              pieces.Length() == 0 ? 0 : number_at(offsets, 0));
  } else if (kind == 1) {
    request->memory = MemoryCursor::bvec(request->vecs.data(), request->vecs.size());
  } else if (kind == 2 && !request->vecs.empty()) {
    request->memory = MemoryCursor::vm(request->vecs[0].page, request->vecs[0].len);
  }
  return true;
}

}  // namespace dmiofs
