//! A linked image: how large its parts are, what its functions are called, and what each takes on the stack.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use object::elf::{SHF_ALLOC, SHF_WRITE};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind};

/// What is wrong with an image, in words.
pub type Failure = String;

#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub size: u32,
    /// What its own frame takes; `None` if the compiler has not said it, as of assembly.
    pub frame: Option<u32>,
}

#[derive(Debug)]
pub struct Image {
    /// Functions by address.
    pub functions: BTreeMap<u32, Function>,
    /// Where the code begins, and the code.
    pub code: (u32, Vec<u8>),
    /// Where in it there are instructions (true) and constants (false), each up to the next.
    pub regions: BTreeMap<u32, bool>,
    /// Bytes of code and of constants.
    pub flash: u32,
    /// Bytes of variables that do not begin as zero. They take as much flash again, from which they are copied.
    pub data: u32,
    /// The sizes of variables, by name.
    pub variables: BTreeMap<String, u32>,
    /// What the image needs and does not have.
    pub missing: Vec<String>,
}

impl Image {
    pub fn read(path: &Path) -> Result<Image, Failure> {
        let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let file = object::File::parse(&*bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        let text = file.section_by_name(".text").ok_or("there is no code in it")?;
        let code = (text.address() as u32, text.data().map_err(|error| error.to_string())?.to_vec());
        let mut image = Image {
            functions: BTreeMap::new(),
            code,
            regions: BTreeMap::new(),
            flash: 0,
            data: 0,
            variables: BTreeMap::new(),
            missing: Vec::new(),
        };
        image.measure(&file);
        image.name(&file);
        image.frames(&file)?;
        Ok(image)
    }

    fn measure(&mut self, file: &object::File<'_>) {
        for section in file.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
            let (kept, writes) = (sh_flags & u64::from(SHF_ALLOC) != 0, sh_flags & u64::from(SHF_WRITE) != 0);
            let filled = section.file_range().is_some_and(|(_, len)| len > 0);
            if kept && !writes {
                self.flash += section.size() as u32;
            } else if kept && filled {
                self.data += section.size() as u32;
            }
        }
    }

    fn name(&mut self, file: &object::File<'_>) {
        for symbol in file.symbols() {
            let (Ok(name), address) = (symbol.name(), symbol.address() as u32) else { continue };
            if symbol.is_undefined() && !name.is_empty() {
                self.missing.push(name.to_string());
            }
            // The marks that the assembler leaves where instructions and constants begin.
            if name.starts_with("$t") || name.starts_with("$d") {
                if symbol.section_index().is_some_and(|index| {
                    file.section_by_index(index).is_ok_and(|section| section.name() == Ok(".text"))
                }) {
                    self.regions.insert(address & !1, name.starts_with("$t"));
                }
                continue;
            }
            let name = format!("{:#}", rustc_demangle::demangle(name));
            match symbol.kind() {
                SymbolKind::Text => {
                    let function = Function { name, size: symbol.size() as u32, frame: None };
                    self.functions.insert(address & !1, function);
                }
                SymbolKind::Data => drop(self.variables.insert(name, symbol.size() as u32)),
                _ => {}
            }
        }
    }

    /// The compiler lists each function's address and, in 7 bits a byte, what its frame takes.
    fn frames(&mut self, file: &object::File<'_>) -> Result<(), Failure> {
        let section = file.section_by_name(".stack_sizes").ok_or("it was built without -Zemit-stack-sizes")?;
        let mut rest = section.data().map_err(|error| error.to_string())?;
        while let Some((address, behind)) = rest.split_first_chunk::<4>() {
            let (mut size, mut shift) = (0u32, 0);
            rest = behind;
            while let Some((byte, behind)) = rest.split_first() {
                size |= u32::from(byte & 0x7f) << shift;
                (rest, shift) = (behind, shift + 7);
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if let Some(function) = self.functions.get_mut(&(u32::from_le_bytes(*address) & !1)) {
                function.frame = Some(function.frame.unwrap_or(0).max(size));
            }
        }
        Ok(())
    }

    /// The function that this address lies in.
    pub fn function_at(&self, address: u32) -> Option<(u32, &Function)> {
        let (start, function) = self.functions.range(..=address).next_back()?;
        (address < start + function.size.max(2)).then_some((*start, function))
    }

    pub fn find(&self, name: &str) -> Option<u32> {
        self.functions.iter().find(|(_, function)| function.name == name).map(|(address, _)| *address)
    }
}
