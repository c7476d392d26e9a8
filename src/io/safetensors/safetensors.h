// Hugging Face's safetensors: u64 header length, JSON header, raw little-endian data.
#pragma once
#include <cstddef>
#include <memory>
#include <span>

#include "base/mapped_file.h"
#include "io/tensor_file.h"

namespace rk {

namespace safetensors {

struct Entry {
  TensorInfo info;
  uint64_t begin = 0, end = 0;  // of its bytes, from the start of the data
};

struct Header {
  std::vector<Entry> entries;  // in the header's order
  std::map<std::string, std::string> metadata;
  uint64_t data = 0;  // offset of the data in the file
};

// Checks everything: the ranges tile the data exactly, sizes agree with shapes.
Header parse_header(const std::string& path, std::span<const std::byte> file);

const char* dtype_name(DType t);  // "BF16"

}  // namespace safetensors

class SafetensorsReader : public TensorReader {
 public:
  explicit SafetensorsReader(const std::string& path);

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  void read(size_t index, int64_t first, int64_t n, void* destination) override;
  const std::byte* mapped(size_t index) const override {
    return file_.bytes().data() + header_.data + header_.entries[index].begin;
  }
  std::map<std::string, std::string> metadata() const override { return header_.metadata; }
  const char* format() const override { return "safetensors"; }
  std::string verify() override;

 private:
  MappedFile file_;
  safetensors::Header header_;
  std::vector<TensorInfo> infos_;
};

std::unique_ptr<TensorReader> open_safetensors(const std::string& path);
std::unique_ptr<TensorWriter> create_safetensors(const std::string& path, std::vector<TensorInfo> infos,
                                                 const std::map<std::string, std::string>& metadata);

}  // namespace rk
