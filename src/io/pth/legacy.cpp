// .pth before PyTorch 1.6: five pickles in a row, then the storages.
#include <cstring>
#include <unordered_map>

#include "base/error.h"
#include "io/pth/content.h"
#include "io/utf8.h"

namespace rk::pth {
namespace {

using pickle::Kind;
using pickle::Object;
using pickle::Ref;
using pickle::Storage;

constexpr unsigned char magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
constexpr int64_t protocol_version = 1001;

struct Stream {
  const std::string& path;
  std::span<const std::byte> file;
  size_t at = 0;

  [[noreturn]] void refuse(const std::string& why) const { fail(cat(path, ": offset ", at, ": ", why)); }

  Object next(const char* what) {
    if (at == file.size()) refuse(cat("the file ends where its ", what, " should be"));
    Object o = pickle::parse({.name = cat(path, ": ", what), .bytes = file.subspan(at), .origin = at, .layout = pickle::Layout::legacy});
    at += o.end;
    return o;
  }

  void check_magic() {
    const Object o = next("magic number");
    const bool ok = o.at(o.root).kind == Kind::big_integer && o.text(o.root).size() == sizeof magic &&
                    std::memcmp(o.text(o.root).data(), magic, sizeof magic) == 0;
    if (!ok) fail(cat(path, ": a pickle, but not one of torch.save: it does not start with torch's magic number"));
  }

  void check_protocol() {
    const Object o = next("protocol version");
    if (o.at(o.root).kind != Kind::integer || o.at(o.root).integer != protocol_version)
      refuse(cat("its protocol version is ", pickle::repr(o, o.root), ", only ", protocol_version, " is known"));
  }

  void check_system() {
    const Object o = next("system description");
    if (o.at(o.root).kind != Kind::dict) refuse("its system description is no dictionary");
    const std::span<const Ref> items = o.items(o.root);
    for (size_t i = 0; i < items.size(); i += 2) {
      const bool is_order = o.at(items[i]).kind == Kind::text && o.text(items[i]) == "little_endian";
      const pickle::Value& v = o.at(items[i + 1]);
      if (is_order && (v.kind != Kind::boolean || v.integer == 0))
        refuse("its numbers are big-endian; save it again on a little-endian machine");
    }
  }

  // i64 element count, then the elements.
  Blob read_storage(const Storage& s) {
    int64_t n = 0;
    if (file.size() - at < sizeof n) refuse(cat("the file is cut off before storage ", printable(s.key)));
    std::memcpy(&n, file.data() + at, sizeof n);
    if (n != s.base_numel) refuse(cat("storage ", printable(s.key), " has ", n, " elements, its tensors say ", s.base_numel));
    at += sizeof n;
    const auto n_bytes = static_cast<uint64_t>(n) * s.element_bytes;
    if (file.size() - at < n_bytes)
      refuse(cat("the file is cut off: storage ", printable(s.key), " needs ", n_bytes, " bytes and ", file.size() - at, " are left"));
    const Blob blob{file.subspan(at, n_bytes), nullptr, n_bytes};
    at += n_bytes;
    return blob;
  }
};

// Storages of one key must agree; the first describes them all.
std::unordered_map<std::string_view, const Storage*> storages_by_key(const Stream& stream, const Object& o) {
  std::unordered_map<std::string_view, const Storage*> known;
  for (const Storage& s : o.storages) {
    const Storage& first = *known.emplace(s.key, &s).first->second;
    if (first.type != s.type || first.base_numel != s.base_numel)
      stream.refuse(cat("storage ", printable(s.key), " is described in two ways"));
  }
  return known;
}

}  // namespace

Content load_legacy(const std::string& path, std::span<const std::byte> file) {
  Stream stream{path, file};
  stream.check_magic();
  stream.check_protocol();
  stream.check_system();
  Content c;
  c.object = stream.next("object");
  const Object keys = stream.next("list of storages");
  if (keys.at(keys.root).kind != Kind::list) stream.refuse("its list of storages is no list");
  const auto known = storages_by_key(stream, c.object);
  std::unordered_map<std::string_view, size_t> blob_of;
  for (Ref r : keys.items(keys.root)) {
    if (keys.at(r).kind != Kind::text) stream.refuse("a storage's key is no text");
    const auto it = known.find(keys.text(r));
    if (it == known.end()) stream.refuse(cat("storage ", printable(keys.text(r)), " belongs to no tensor"));
    if (!blob_of.emplace(it->first, c.blobs.size()).second) stream.refuse(cat("storage ", printable(it->first), " is listed twice"));
    c.blobs.push_back(stream.read_storage(*it->second));
  }
  if (stream.at != file.size()) stream.refuse(cat(file.size() - stream.at, " bytes follow the last storage"));
  for (const Storage& s : c.object.storages) {
    const auto it = blob_of.find(s.key);
    if (it == blob_of.end()) stream.refuse(cat("storage ", printable(s.key), " is missing"));
    c.blob_of_storage.push_back(it->second);
  }
  return c;
}

}  // namespace rk::pth
