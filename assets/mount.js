// Before each component of ours (lab/ui/js_component.py): Streamlit calls it on every change of data or theme, and what was made the
// first time stays. When changes follow each other closely it also cleans up after a call that a later one has overtaken;
// by then what stands there is the later call's.

const MOUNTED = new WeakMap();

/** `create(element, {emit})` makes what has `update(data)` and `destroy()`. */
function mounting(create) {
  return (component) => {
    const { parentElement, data } = component;
    let mounted = MOUNTED.get(parentElement);
    if (!mounted) {
      mounted = { component };
      mounted.made = create(parentElement, { emit: (name, value) => mounted.component.setStateValue(name, value) });
      MOUNTED.set(parentElement, mounted);
    }
    mounted.component = component;
    mounted.made.update(data);
    return () => { if (mounted.component === component) { mounted.made.destroy(); MOUNTED.delete(parentElement); } };
  };
}

