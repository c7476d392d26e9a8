// Internals of the .pth reader: what a file holds, before names are given.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/pth/pickle.h"
#include "io/zip/zip_reader.h"

namespace rk::pth {

// The bytes of one storage: in the map, or a deflated record.
struct Blob {
  std::span<const std::byte> bytes;
  const zip::Entry* deflated = nullptr;
  uint64_t size = 0;
};

struct Content {
  std::unique_ptr<zip::Archive> archive;  // none: a legacy stream
  std::vector<std::byte> pickle;          // of an archive; the object's texts point into it
  pickle::Object object;
  std::vector<Blob> blobs;              // one a key
  std::vector<size_t> blob_of_storage;  // same index as object.storages
  std::map<std::string, std::string> metadata;
};

Content load_archive(const std::string& path, std::span<const std::byte> file);
Content load_legacy(const std::string& path, std::span<const std::byte> file);

// One step from a container to what it holds.
struct PathKey {
  std::string text;
  bool is_text = false;  // a string key; otherwise an index, or another key as Python prints it
};

struct Found {
  std::vector<PathKey> path;
  std::string name;  // the keys joined by dots; "tensor" for a file that is one tensor
  size_t tensor = 0;
};
// Every tensor of the object, in order. Containers without tensors are not entered.
std::vector<Found> find_tensors(const std::string& path, const pickle::Object& object);

}  // namespace rk::pth
