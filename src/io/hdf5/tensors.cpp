#include "io/hdf5/tensors.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/disk.h"
#include "io/hdf5/hdf5.h"
#include "io/tensor_stream.h"
#include "io/utf8.h"

namespace rk {
namespace {

// Attributes: the place of a tensor in the file's order; the metadata as JSON.
constexpr const char* order_attribute = "order";
constexpr const char* metadata_attribute = "rookery.json";

class H5TensorReader : public TensorReader {
 public:
  explicit H5TensorReader(const std::string& path) : path_(path), file_(path) {
    std::vector<std::pair<double, std::string>> order;
    for (const std::string& name : file_.datasets()) order.emplace_back(file_.number_attribute(name, order_attribute).value_or(0), name);
    std::stable_sort(order.begin(), order.end());
    for (const auto& [place, name] : order) infos_.push_back(file_.info(name));
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  void read(size_t index, int64_t first, int64_t n, void* destination) override {
    const TensorInfo& t = infos_.at(index);
    file_.read(t.name, first, n, t.dtype, destination);
  }
  std::map<std::string, std::string> metadata() const override {
    const std::optional<std::string> text = file_.text_attribute("", metadata_attribute);
    if (!text) return {};
    const nlohmann::json j = nlohmann::json::parse(*text, nullptr, false);
    std::map<std::string, std::string> values;
    if (!j.is_object()) fail(cat(path_, ": its attribute ", metadata_attribute, " is damaged"));
    for (const auto& [key, value] : j.items()) {
      if (!value.is_string()) fail(cat(path_, ": value ", printable(key), " of its attribute ", metadata_attribute, " is not a text"));
      values[key] = value.get<std::string>();
    }
    return values;
  }
  const char* format() const override { return "h5"; }
  std::string verify() override {
    std::vector<std::byte> block;
    for (size_t i = 0; i < infos_.size(); ++i) {
      const int64_t n = infos_[i].numel(), step = 1 << 20;
      block.resize(static_cast<size_t>(std::min(n, step)) * size_of(infos_[i].dtype));
      for (int64_t at = 0; at < n; at += step) read(i, at, std::min(step, n - at), block.data());
    }
    return "every dataset can be read; this file has no checksums";
  }

 private:
  std::string path_;
  Hdf5Reader file_;
  std::vector<TensorInfo> infos_;
};

class H5TensorWriter : public TensorWriter {
 public:
  H5TensorWriter(const std::string& path, std::vector<TensorInfo> infos, const std::map<std::string, std::string>& metadata)
      : path_(path), temporary_(path + ".tmp"), stream_(std::move(infos)), file_(checked_path()) {
    double place = 0;
    for (const TensorInfo& t : stream_.infos()) {
      file_.create(t.name, t.dtype, t.shape);
      file_.attribute(t.name, order_attribute, place++);
    }
    if (!metadata.empty()) file_.attribute("", metadata_attribute, nlohmann::json(metadata).dump());
  }

  void write(const void* data, size_t n_bytes) override {
    stream_.write(data, n_bytes, [&](size_t tensor, uint64_t offset, const std::byte* p, size_t n) { put(tensor, offset, p, n); });
  }

  void finish() override {
    stream_.require_complete();
    require(part_.empty(), "a tensor ends with a whole element");
    file_.finish();
    rename_file(temporary_, path_);
  }

 private:
  const std::string& checked_path() const {
    uint64_t total = 0;
    for (const TensorInfo& t : stream_.infos()) {
      total += bytes_of(t) + 1024;
      check_name(t.name);
    }
    require_space(path_, total);
    return temporary_;
  }
  void check_name(const std::string& name) const {
    const std::filesystem::path parts(name);
    bool ok = !name.empty() && name.front() != '/' && name.back() != '/' && name.find('\0') == std::string::npos;
    for (const auto& part : parts) ok = ok && part != ".";
    if (!ok) fail(cat("cannot write ", path_, ": '", printable(name), "' cannot be the name of an HDF5 dataset"));
  }

  // HDF5 takes whole elements; the bytes of a cut one wait for their rest.
  void put(size_t tensor, uint64_t offset, const std::byte* p, size_t n) {
    const TensorInfo& t = stream_.infos()[tensor];
    const size_t element = size_of(t.dtype);
    while (n > 0 && (!part_.empty() || n < element)) {
      part_.push_back(*p++);
      --n;
      ++offset;
      if (part_.size() == element) {
        file_.write_range(t.name, static_cast<int64_t>(offset / element) - 1, 1, part_.data());
        part_.clear();
      }
    }
    const size_t whole = n / element;
    file_.write_range(t.name, static_cast<int64_t>(offset / element), static_cast<int64_t>(whole), p);
    part_.insert(part_.end(), p + whole * element, p + n);
  }

  std::string path_, temporary_;
  TensorStream stream_;
  Hdf5Writer file_;
  std::vector<std::byte> part_;
};

}  // namespace

std::unique_ptr<TensorReader> open_h5(const std::string& path) { return std::make_unique<H5TensorReader>(path); }

std::unique_ptr<TensorWriter> create_h5(const std::string& path, std::vector<TensorInfo> infos,
                                        const std::map<std::string, std::string>& metadata) {
  return std::make_unique<H5TensorWriter>(path, std::move(infos), metadata);
}

}  // namespace rk
