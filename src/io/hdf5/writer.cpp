#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "io/disk.h"
#include "io/hdf5/handles.h"
#include "io/hdf5/hdf5.h"

namespace rk {
namespace {

using h5::Id;

constexpr int64_t chunk_bytes = int64_t{4} << 20;

// Whole inner dimensions, as many outer steps as fit chunk_bytes.
std::vector<hsize_t> chunk_shape(const std::vector<int64_t>& shape, int64_t element_bytes) {
  std::vector<hsize_t> chunk(shape.size(), 1);
  int64_t room = chunk_bytes / element_bytes;
  for (size_t k = shape.size(); k-- > 0 && room > 0;) {
    const int64_t take = std::min(shape[k], room);
    chunk[k] = static_cast<hsize_t>(take);
    room = take == shape[k] ? room / take : 0;
  }
  return chunk;
}

struct Open {
  Id set;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  int64_t numel = 0;
};

}  // namespace

struct Hdf5Writer::Impl {
  std::string path;
  Id file;
  bool finished = false;
  std::map<std::string, Open> open;  // in the middle of being written

  ~Impl() {
    if (finished) return;
    h5::Session session;
    // Emptied first: on a full disk that makes room for what closing flushes, so that the library lets go of the file.
    const int emptied = truncate(path.c_str(), 0);
    open.clear();
    if (!file.reset() && emptied == 0) (void)!truncate(path.c_str(), 0);
    unlink(path.c_str());
  }

  void check(bool ok, const std::string& what, uint64_t n_bytes = 0) const {
    if (ok) return;
    const int error = errno;
    if (error == ENOSPC || error == EDQUOT || error == EFBIG || free_bytes(path) < n_bytes + 4096)
      fail_write(path, n_bytes, error == EFBIG || error == EDQUOT ? error : ENOSPC);
    fail(cat("cannot write ", path, ": HDF5 refused ", what), ExitCode::failure);
  }

  // The object that carries an attribute: "" = the root.
  Id object(const std::string& name) const {
    Id o(H5Oopen(file.get(), name.empty() ? "/" : name.c_str(), H5P_DEFAULT), H5Oclose);
    require(static_cast<bool>(o), "an attribute is given to an object that was created before");
    return o;
  }
  void attribute(const std::string& to, const std::string& name, hid_t type, hid_t space, const void* data) const {
    Id o = object(to);
    errno = 0;
    Id a(H5Acreate2(o.get(), name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    check(a && H5Awrite(a.get(), type, data) >= 0 && a.reset(), cat("attribute ", name, " of ", to));
  }
};

Hdf5Writer::Hdf5Writer(const std::string& path) {
  h5::Session session;
  errno = 0;
  Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG);
  Id file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose);
  if (!file) fail_write(path, 0, errno != 0 ? errno : EIO);
  impl_ = std::make_unique<Impl>();
  impl_->path = path;
  impl_->file = std::move(file);
}
Hdf5Writer::Hdf5Writer(Hdf5Writer&&) noexcept = default;
Hdf5Writer::~Hdf5Writer() = default;

void Hdf5Writer::create(const std::string& dataset, DType dtype, const std::vector<int64_t>& shape) {
  h5::Session session;
  errno = 0;
  Open o;
  o.dtype = dtype;
  o.shape = shape;
  o.numel = 1;
  for (int64_t s : shape) o.numel *= s;
  const std::vector<hsize_t> dims(shape.begin(), shape.end());
  Id space(shape.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose);
  Id links(H5Pcreate(H5P_LINK_CREATE), H5Pclose), layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.get(), 1);
  H5Pset_fill_time(layout.get(), H5D_FILL_TIME_NEVER);
  const auto element = static_cast<int64_t>(size_of(dtype));
  if (o.numel * element > chunk_bytes) H5Pset_chunk(layout.get(), static_cast<int>(dims.size()), chunk_shape(shape, element).data());
  Id type = h5::type_of(dtype);
  o.set = Id(H5Dcreate2(impl_->file.get(), dataset.c_str(), type.get(), space.get(), links.get(), layout.get(), H5P_DEFAULT), H5Dclose);
  impl_->check(static_cast<bool>(o.set), cat("dataset ", dataset));
  impl_->open[dataset] = std::move(o);
}

void Hdf5Writer::write_range(const std::string& dataset, int64_t first, int64_t n, const void* data) {
  if (n == 0) return;
  h5::Session session;
  const auto it = impl_->open.find(dataset);
  require(it != impl_->open.end(), "a dataset is created before it is written");
  const Open& o = it->second;
  require(first >= 0 && n >= 0 && first <= o.numel - n, "a written range lies inside its dataset");
  Id type = h5::type_of(o.dtype), space(H5Dget_space(o.set.get()), H5Sclose);
  const auto* in = static_cast<const std::byte*>(data);
  auto write_box = [&](hid_t memory, hid_t part, int64_t count) {
    errno = 0;
    impl_->check(H5Dwrite(o.set.get(), type.get(), memory, part, H5P_DEFAULT, in) >= 0, cat("dataset ", dataset),
                 static_cast<uint64_t>(count) * size_of(o.dtype));
  };
  if (o.shape.empty()) return write_box(H5S_ALL, H5S_ALL, 1);
  for (const h5::Box& box : h5::boxes_of(o.shape, first, n)) {
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, box.start.data(), nullptr, box.count.data(), nullptr);
    const auto count = static_cast<hsize_t>(box.n);
    Id memory(H5Screate_simple(1, &count, nullptr), H5Sclose);
    write_box(memory.get(), space.get(), box.n);
    in += static_cast<size_t>(box.n) * size_of(o.dtype);
  }
}

void Hdf5Writer::write(const std::string& dataset, DType dtype, const std::vector<int64_t>& shape, const void* data) {
  create(dataset, dtype, shape);
  write_range(dataset, 0, impl_->open.at(dataset).numel, data);
  close(dataset);
}

void Hdf5Writer::close(const std::string& dataset) {
  h5::Session session;
  errno = 0;
  impl_->check(impl_->open.at(dataset).set.reset(), cat("dataset ", dataset));
  impl_->open.erase(dataset);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, const std::string& text) {
  h5::Session session;
  Id type(H5Tcopy(H5T_C_S1), H5Tclose), space(H5Screate(H5S_SCALAR), H5Sclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  const char* data = text.c_str();
  impl_->attribute(object, name, type.get(), space.get(), &data);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, double number) {
  h5::Session session;
  Id space(H5Screate(H5S_SCALAR), H5Sclose);
  impl_->attribute(object, name, H5T_IEEE_F64LE, space.get(), &number);
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, const std::vector<int64_t>& numbers) {
  h5::Session session;
  const hsize_t n = numbers.size();
  Id space(H5Screate_simple(1, &n, nullptr), H5Sclose);
  impl_->attribute(object, name, H5T_STD_I64LE, space.get(), numbers.data());
}

uint64_t Hdf5Writer::reserve(const std::string& dataset, DType dtype, int64_t n) {
  h5::Session session;
  errno = 0;
  const auto dims = static_cast<hsize_t>(n);
  Id space(H5Screate_simple(1, &dims, nullptr), H5Sclose);
  Id links(H5Pcreate(H5P_LINK_CREATE), H5Pclose), layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links.get(), 1);
  H5Pset_fill_time(layout.get(), H5D_FILL_TIME_NEVER);
  H5Pset_alloc_time(layout.get(), H5D_ALLOC_TIME_EARLY);
  Id type = h5::type_of(dtype);
  Id set(H5Dcreate2(impl_->file.get(), dataset.c_str(), type.get(), space.get(), links.get(), layout.get(), H5P_DEFAULT), H5Dclose);
  const haddr_t place = set ? H5Dget_offset(set.get()) : HADDR_UNDEF;
  impl_->check((place != HADDR_UNDEF || n == 0) && set.reset(), cat("dataset ", dataset));
  return n > 0 ? place : 0;
}

void Hdf5Writer::settle() {
  h5::Session session;
  errno = 0;
  bool ok = true;
  for (auto& [name, o] : impl_->open) ok = o.set.reset() && ok;
  impl_->open.clear();
  impl_->check(ok && H5Fflush(impl_->file.get(), H5F_SCOPE_GLOBAL) >= 0, "to flush the file");
  impl_->check(impl_->file.reset(), "to close the file");
  impl_->finished = true;
}

void Hdf5Writer::finish() {
  settle();
  impl_->finished = false;
  sync_file(impl_->path);
  impl_->finished = true;
}

}  // namespace rk
