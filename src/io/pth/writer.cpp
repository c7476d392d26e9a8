#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/pth/pickle_writer.h"
#include "io/pth/pth.h"
#include "io/tensor_stream.h"
#include "io/zip/zip_writer.h"

namespace rk {
namespace {

uint64_t expected_bytes(const std::vector<TensorInfo>& infos, const std::string& path, size_t pickle_bytes) {
  std::vector<uint64_t> sizes = {pickle_bytes, 4096};
  for (const TensorInfo& t : infos) sizes.push_back(bytes_of(t));
  return zip::archive_bytes(sizes, path.size() + 32);
}

class PthWriter : public TensorWriter {
 public:
  PthWriter(const std::string& path, std::vector<TensorInfo> infos, const std::map<std::string, std::string>& metadata)
      : stream_(std::move(infos)),
        pickle_(pth::pickle_of(stream_.infos())),
        file_(path, expected_bytes(stream_.infos(), path, pickle_.size())),
        archive_(file_),
        folder_(std::filesystem::path(path).stem().string() + "/") {
    archive_.add(folder_ + "data.pkl", pickle_);
    archive_.add(folder_ + "byteorder", "little");
    if (!metadata.empty()) archive_.add(folder_ + "rookery.json", nlohmann::json(metadata).dump(1));
  }

  void write(const void* data, size_t n_bytes) override {
    stream_.write(data, n_bytes, [&](size_t tensor, uint64_t, const std::byte* p, size_t n) {
      open_records(tensor);
      archive_.write(p, n);
    });
  }

  void finish() override {
    stream_.require_complete();
    open_records(stream_.infos().size());
    archive_.add(folder_ + "version", "3\n");
    archive_.finish();
    file_.finish();
  }

 private:
  // Opens the records up to that of `tensor`; those before are complete.
  void open_records(size_t tensor) {
    for (; n_open_ <= tensor; ++n_open_) {
      if (n_open_ > 0) archive_.end();
      if (n_open_ == stream_.infos().size()) break;
      archive_.begin(folder_ + "data/" + std::to_string(n_open_), bytes_of(stream_.infos()[n_open_]));
    }
  }

  TensorStream stream_;
  std::string pickle_;
  NewFile file_;
  zip::Writer archive_;
  std::string folder_;
  size_t n_open_ = 0;
};

}  // namespace

std::unique_ptr<TensorWriter> create_pth(const std::string& path, std::vector<TensorInfo> infos,
                                         const std::map<std::string, std::string>& metadata) {
  return std::make_unique<PthWriter>(path, std::move(infos), metadata);
}

}  // namespace rk
