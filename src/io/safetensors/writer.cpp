#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "io/disk.h"
#include "io/safetensors/safetensors.h"
#include "io/tensor_stream.h"

namespace rk {
namespace {

// Wide elements first, so that every tensor is aligned to its element.
std::vector<uint64_t> place(const std::vector<TensorInfo>& infos) {
  std::vector<size_t> order(infos.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return size_of(infos[a].dtype) > size_of(infos[b].dtype); });
  std::vector<uint64_t> begin(infos.size());
  uint64_t at = 0;
  for (size_t i : order) {
    begin[i] = at;
    at += bytes_of(infos[i]);
  }
  return begin;
}

// In the order of the data, padded so that the data start at a multiple of 8.
std::string header_of(const std::vector<TensorInfo>& infos, const std::vector<uint64_t>& begin,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<size_t> order(infos.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return begin[a] < begin[b]; });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (size_t i : order) {
    const TensorInfo& t = infos[i];
    header[t.name] = {
        {"dtype", safetensors::dtype_name(t.dtype)}, {"shape", t.shape}, {"data_offsets", {begin[i], begin[i] + bytes_of(t)}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

class SafetensorsWriter : public TensorWriter {
 public:
  SafetensorsWriter(const std::string& path, std::vector<TensorInfo> infos, const std::map<std::string, std::string>& metadata)
      : stream_(std::move(infos)),
        begin_(place(stream_.infos())),
        header_(header_of(stream_.infos(), begin_, metadata)),
        file_(path, total()) {
    const uint64_t n = header_.size();
    file_.write(&n, sizeof n);
    file_.write(header_.data(), n);
  }

  void write(const void* data, size_t n_bytes) override {
    stream_.write(data, n_bytes, [&](size_t tensor, uint64_t offset, const std::byte* p, size_t n) {
      file_.write_at(8 + header_.size() + begin_[tensor] + offset, p, n);
    });
  }

  void finish() override {
    stream_.require_complete();
    file_.finish();
  }

 private:
  uint64_t total() const {
    uint64_t n = 8 + header_.size();
    for (const TensorInfo& t : stream_.infos()) n += bytes_of(t);
    return n;
  }
  TensorStream stream_;
  std::vector<uint64_t> begin_;
  std::string header_;
  NewFile file_;
};

}  // namespace

std::unique_ptr<TensorWriter> create_safetensors(const std::string& path, std::vector<TensorInfo> infos,
                                                 const std::map<std::string, std::string>& metadata) {
  return std::make_unique<SafetensorsWriter>(path, std::move(infos), metadata);
}

}  // namespace rk
