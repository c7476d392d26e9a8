#include <unordered_map>

#include "base/error.h"
#include "io/pth/content.h"
#include "io/utf8.h"

namespace rk::pth {
namespace {

using pickle::Kind;
using pickle::Object;
using pickle::Ref;

constexpr size_t max_depth = 64, max_name_bytes = 32 << 20, max_work = 64 << 20;

bool is_dict(Kind k) { return k == Kind::dict || k == Kind::ordered_dict; }
bool is_container(Kind k) { return is_dict(k) || k == Kind::list || k == Kind::tuple || k == Kind::set || k == Kind::frozen_set; }

// Which values are or hold a tensor; a container's path back to itself does not count. Depth costs no stack.
std::vector<bool> holds_tensor(const Object& o) {
  struct Frame {
    Ref ref;
    size_t next;
  };
  std::vector<bool> holds(o.values.size()), entered(o.values.size());
  std::vector<Frame> open;
  auto enter = [&](Ref r) {
    if (entered[r]) return;
    entered[r] = true;
    holds[r] = o.at(r).kind == Kind::tensor;
    if (is_container(o.at(r).kind)) open.push_back({r, 0});
  };
  enter(o.root);
  while (!open.empty()) {
    Frame& f = open.back();
    const Ref r = f.ref;
    const std::span<const Ref> items = o.items(r);
    if (f.next == items.size()) {
      open.pop_back();
      if (!open.empty() && holds[r]) holds[open.back().ref] = true;
      continue;
    }
    const Ref item = items[f.next++];
    if (entered[item]) {
      if (holds[item]) holds[r] = true;
    } else {
      enter(item);
      if (holds[item]) holds[r] = true;
    }
  }
  return holds;
}

PathKey key_of(const Object& o, Ref key) {
  if (o.at(key).kind == Kind::text) return {std::string(o.text(key)), true};
  return {pickle::repr(o, key), false};
}

// The items of a container with their keys, later values of a key replacing earlier ones as in Python.
std::vector<std::pair<PathKey, Ref>> children_of(const Object& o, Ref r) {
  const std::span<const Ref> items = o.items(r);
  std::vector<std::pair<PathKey, Ref>> children;
  if (!is_dict(o.at(r).kind)) {
    for (size_t i = 0; i < items.size(); ++i) children.push_back({{std::to_string(i), false}, items[i]});
    return children;
  }
  std::unordered_map<std::string, size_t> places;
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    PathKey key = key_of(o, items[i]);
    const auto [it, is_new] = places.emplace((key.is_text ? "t" : "n") + key.text, children.size());
    if (is_new) {
      children.emplace_back(std::move(key), items[i + 1]);
    } else {
      children[it->second].second = items[i + 1];
    }
  }
  return children;
}

class Finder {
 public:
  Finder(const std::string& path, const Object& object) : path_(path), object_(object), holds_(holds_tensor(object)) {}

  std::vector<Found> run() {
    if (object_.at(object_.root).kind == Kind::tensor) return {{{}, "tensor", object_.at(object_.root).n}};
    if (holds_[object_.root]) visit(object_.root);
    return std::move(found_);
  }

 private:
  // At most max_depth calls deep.
  void visit(Ref r) {
    for (auto& [key, child] : children_of(object_, r)) {
      work_ += key.text.size() + 16;
      if (work_ > max_work) fail(cat(path_, ": its containers share each other so often that listing them would not end"));
      if (!holds_[child]) continue;
      keys_.push_back(std::move(key));
      if (object_.at(child).kind == Kind::tensor) {
        note(child);
      } else {
        if (keys_.size() >= max_depth) fail(cat(path_, ": tensors lie more than ", max_depth, " containers deep, or one holds itself"));
        visit(child);
      }
      keys_.pop_back();
    }
  }

  void note(Ref tensor) {
    std::string name;
    for (const PathKey& key : keys_) name += (name.empty() ? "" : ".") + key.text;
    n_name_bytes_ += name.size();
    if (found_.size() >= pickle::max_tensors || n_name_bytes_ > max_name_bytes) fail(cat(path_, ": it names too many tensors"));
    found_.push_back({keys_, std::move(name), object_.at(tensor).n});
  }

  const std::string& path_;
  const Object& object_;
  std::vector<bool> holds_;
  std::vector<PathKey> keys_;
  std::vector<Found> found_;
  size_t work_ = 0, n_name_bytes_ = 0;
};

}  // namespace

std::vector<Found> find_tensors(const std::string& path, const Object& object) { return Finder(path, object).run(); }

}  // namespace rk::pth
