#include "train/weights_export.h"

#include <algorithm>
#include <optional>

#include "comm/agree.h"
#include "io/background_writer.h"

namespace rk {

namespace {

// A new file that tensors go into, those of a GPU while earlier ones are being written.
class ExportFile {
 public:
  ExportFile(const Exec& ex, const Model& model, const std::string& path, const std::map<std::string, std::string>& metadata) : ex_(ex) {
    std::vector<TensorInfo> infos;
    int64_t largest = 0;
    for (const Param& p : model.params.all()) {
      TensorInfo info;
      info.name = p.name;
      info.dtype = model.dtype;
      for (int i = 0; i < p.shape.rank; ++i) info.shape.push_back(p.shape[i]);
      infos.push_back(std::move(info));
      largest = std::max(largest, p.numel());
    }
    auto writer = create_tensor_file(path, std::move(infos), metadata);
    if (ex.device == Device::cuda) {
      behind_.emplace(std::move(writer), Device::pinned, static_cast<size_t>(largest) * size_of(model.dtype));
    } else {
      writer_ = std::move(writer);
    }
  }

  void write(const Tensor& t) {
    if (writer_) return writer_->write(t.data, t.n_bytes());
    for (int64_t at = 0; at < t.numel();) {
      const Buffer& buffer = behind_->take();
      const Tensor staged = buffer.tensor(t.dtype, {std::min(t.numel() - at, static_cast<int64_t>(buffer.size() / size_of(t.dtype)))});
      copy(ex_, t.slice(at, staged.numel()), staged);
      synchronize(ex_);
      behind_->put(staged.n_bytes());
      at += staged.numel();
    }
  }

  void finish() { writer_ ? writer_->finish() : behind_->finish(); }

 private:
  Exec ex_;
  std::unique_ptr<TensorWriter> writer_;    // of weights in memory of the host
  std::optional<BackgroundWriter> behind_;  // of weights on a GPU
};

}  // namespace

void export_weights(const Exec& ex, Model& model, Shards& shards, const std::string& path,
                    const std::map<std::string, std::string>& metadata) {
  const bool writes = shards.comm().rank() == 0;
  std::optional<ExportFile> file;
  std::string error;  // rank 0's; the gathering goes on so that no rank waits for another
  const auto attempt = [&](const auto& action) {
    if (!writes || !error.empty()) return;
    try {
      action();
    } catch (const Error& e) {
      error = e.what();
    }
  };
  attempt([&] { file.emplace(ex, model, path, metadata); });
  for (const Param& p : model.params.all()) {
    shards.acquire(p.unit);
    attempt([&] { file->write(p.w); });
    shards.release(p.unit);
  }
  attempt([&] { file->finish(); });
  file.reset();
  agree(shards.comm(), [&] {
    if (!error.empty()) fail(error, ExitCode::failure);
  });
}

}  // namespace rk
