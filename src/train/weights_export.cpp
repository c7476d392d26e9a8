#include "train/weights_export.h"

#include "comm/agree.h"
#include "io/tensor_file.h"

namespace rk {

void export_weights(Model& model, Shards& shards, const std::string& path) {
  const bool writes = shards.comm().rank() == 0;
  std::unique_ptr<TensorWriter> writer;
  std::string error;  // rank 0's; the gathering goes on so that no rank waits for another
  const auto attempt = [&](const auto& action) {
    if (!writes || !error.empty()) return;
    try {
      action();
    } catch (const Error& e) {
      error = e.what();
    }
  };
  attempt([&] {
    std::vector<TensorInfo> infos;
    for (const Param& p : model.params.all()) {
      TensorInfo info;
      info.name = p.name;
      info.dtype = model.dtype;
      for (int i = 0; i < p.shape.rank; ++i) info.shape.push_back(p.shape[i]);
      infos.push_back(std::move(info));
    }
    writer = create_tensor_file(path, std::move(infos), {});
  });
  for (const Param& p : model.params.all()) {
    shards.acquire(p.unit);
    attempt([&] { writer->write(p.w.data, p.w.n_bytes()); });
    shards.release(p.unit);
  }
  attempt([&] { writer->finish(); });
  writer.reset();
  agree(shards.comm(), [&] {
    if (!error.empty()) fail(error, ExitCode::failure);
  });
}

}  // namespace rk
