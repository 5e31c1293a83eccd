#include "core/workspace.h"

#include <memory>
#include <new>

namespace pinn {
namespace {

constexpr std::size_t kAlignment = 64;

struct Free {
  void operator()(void* block) const { ::operator delete(block, std::align_val_t(kAlignment)); }
};

struct Block {
  std::unique_ptr<void, Free> memory;
  std::size_t bytes = 0;
};

}  // namespace

void* workspace(std::size_t bytes) {
  thread_local Block block;
  if (bytes > block.bytes) {
    block = Block{};  // the old block goes first, so that both are never held at once
    block.memory.reset(::operator new(bytes, std::align_val_t(kAlignment)));
    block.bytes = bytes;
  }
  return block.memory.get();
}

}  // namespace pinn
