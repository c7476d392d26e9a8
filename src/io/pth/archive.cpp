// .pth since PyTorch 1.6: a zip archive with data.pkl and one record a storage.
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.h"
#include "io/pth/content.h"
#include "io/utf8.h"

namespace rk::pth {
namespace {

constexpr uint64_t small_record = 1 << 20;

std::string_view as_text(const std::vector<std::byte>& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

struct Loader {
  const std::string& path;
  zip::Archive& archive;
  std::string folder;  // with its '/'

  [[noreturn]] void refuse(const std::string& why) const { fail(cat(path, ": ", why)); }
  const zip::Entry* find(const std::string& record) const { return archive.find(folder + record); }

  // All records lie in one folder of any name, the one of the first record.
  void find_folder() {
    if (archive.entries().empty()) refuse("an empty zip archive, not a file of tensors");
    const std::string_view first = archive.entries()[0].name;
    folder = std::string(first.substr(0, first.find('/') == std::string_view::npos ? 0 : first.find('/') + 1));
    size_t n_pickles = 0;
    for (const zip::Entry& e : archive.entries()) {
      const size_t slash = e.name.find('/');
      n_pickles += e.name.substr(slash == std::string_view::npos ? 0 : slash + 1) == "data.pkl";
      if (e.name.starts_with(folder + "code/")) refuse_torchscript();
    }
    if (find("constants.pkl")) refuse_torchscript();
    if (n_pickles > 1) refuse("the archive has several folders with a data.pkl; it is unclear which one is meant");
    if (!find("data.pkl")) refuse("a zip archive without a data.pkl: not a file of torch.save");
  }
  [[noreturn]] void refuse_torchscript() const {
    refuse("a TorchScript archive (a program with its weights); save the model's state_dict() with torch.save instead");
  }

  std::string small_text(const char* record) const {
    const zip::Entry* e = find(record);
    return e ? std::string(as_text(archive.content(*e, small_record))) : "";
  }

  void check_version() const {
    const std::string version = small_text("version"), order = small_text("byteorder");
    if (!version.empty() && (version.size() > 3 || std::atoi(version.c_str()) > 10))
      refuse(cat("format version ", printable(version), " is newer than this program (10)"));
    if (!order.empty() && order != "little")
      refuse(cat("its numbers are ", printable(order), "-endian; save it again on a little-endian machine"));
  }

  std::map<std::string, std::string> metadata() const {
    const zip::Entry* e = find("rookery.json");
    if (!e) e = archive.find("rookery.json");
    if (!e) return {};
    const std::vector<std::byte> bytes = archive.content(*e, small_record);
    const nlohmann::json j = nlohmann::json::parse(as_text(bytes), nullptr, false);
    if (!j.is_object()) refuse("its rookery.json is damaged");
    std::map<std::string, std::string> values;
    for (const auto& [key, value] : j.items()) {
      if (!value.is_string()) refuse(cat("value ", printable(key), " of its rookery.json is not a text"));
      values[key] = value.get<std::string>();
    }
    return values;
  }

  Blob blob_of(const pickle::Storage& s) const {
    const zip::Entry* e = s.key.find('/') == std::string_view::npos ? find(cat("data/", s.key)) : nullptr;
    if (!e) refuse(cat("record data/", printable(s.key), " is missing"));
    const auto needed = static_cast<uint64_t>(s.numel) * s.element_bytes;
    if (e->size != needed)
      refuse(cat("record data/", printable(s.key), " has ", e->size, " bytes, its ", s.numel, " elements (", s.type, ") need ", needed));
    return {e->stored, e->deflated ? e : nullptr, e->size};
  }
};

}  // namespace

Content load_archive(const std::string& path, std::span<const std::byte> file) {
  Content c;
  c.archive = std::make_unique<zip::Archive>(path, file);
  Loader loader{path, *c.archive, ""};
  loader.find_folder();
  loader.check_version();
  c.pickle = c.archive->content(*loader.find("data.pkl"), pickle::max_stream_bytes);
  c.object = pickle::parse({.name = path + ": data.pkl", .bytes = c.pickle});
  if (c.object.end != c.pickle.size()) fail(cat(path, ": data.pkl: ", c.pickle.size() - c.object.end, " bytes follow its end"));
  std::unordered_map<std::string_view, size_t> known;
  for (const pickle::Storage& s : c.object.storages) {
    const Blob blob = loader.blob_of(s);
    const auto [it, is_new] = known.emplace(s.key, c.blobs.size());
    if (is_new) c.blobs.push_back(blob);
    c.blob_of_storage.push_back(it->second);
  }
  c.metadata = loader.metadata();
  return c;
}

}  // namespace rk::pth
